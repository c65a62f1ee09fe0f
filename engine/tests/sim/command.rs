//! A request as a server reads it, and the lines of its answers.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;

use crate::checks::Version;
use crate::server::LIVES;

/// A request as it was read.
pub struct Command<'a> {
    pub word: &'a str,
    pub key: Vec<u8>,
    pub flags: Vec<&'a str>,
}

impl Command<'_> {
    pub fn flag(&self, name: char) -> Option<&str> {
        self.flags.iter().find_map(|flag| flag.strip_prefix(name))
    }

    pub fn number(&self, name: char) -> Option<u64> {
        self.flag(name).map(|text| text.parse().expect("a number"))
    }

    /// The same, whose answers name its key as it is.
    pub fn naming_as_it_is(&self) -> Self {
        let flags = self.flags.iter().copied().filter(|&flag| flag != "b").collect();
        Command { word: self.word, key: self.key.clone(), flags }
    }

    /// A reply about no item.
    pub fn line(&self, code: &str) -> Vec<u8> {
        self.echo(code, None, &self.key)
    }

    /// A reply with what the flags ask for, in their order.
    pub fn echo(&self, code: &str, item: Option<&Version>, key: &[u8]) -> Vec<u8> {
        let mut line = code.as_bytes().to_vec();
        for flag in &self.flags {
            let (name, rest) = flag.split_at(1);
            match (name, item) {
                ("O", _) => line.extend(format!(" O{rest}").into_bytes()),
                ("f", Some(item)) => line.extend(format!(" f{}", item.flags).into_bytes()),
                ("s", Some(item)) => line.extend(format!(" s{}", item.value.len()).into_bytes()),
                ("c", Some(item)) => line.extend(format!(" c{}", item.cas).into_bytes()),
                // Of a version, always the same.
                ("t", Some(item)) => line.extend(format!(" t{}", LIVES + item.cas % 500_000).into_bytes()),
                ("l", Some(_)) => line.extend(b" l0"),
                ("h", Some(_)) => line.extend(b" h0"),
                ("k", _) => {
                    line.extend(b" k");
                    match self.flag('b') {
                        Some(_) => line.extend(format!("{} b", STANDARD.encode(key)).into_bytes()),
                        None => line.extend(key),
                    }
                }
                _ => {}
            }
        }
        line.extend(b"\r\n");
        line
    }
}
