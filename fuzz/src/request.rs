//! Requests as a server reads them.

/// A request that has arrived whole.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The command, `mg` for example.
    pub word: Vec<u8>,
    /// The key as it is on the wire; empty: none.
    pub key: Vec<u8>,
    /// The meta flags.
    pub flags: Vec<Vec<u8>>,
}

impl Request {
    /// Takes the first request from the input; `None`: it has not all arrived.
    pub fn take(input: &mut Vec<u8>) -> Option<Request> {
        let end = memchr::memchr(b'\n', input)?;
        let line = input[..end].strip_suffix(b"\r").expect("a request ends with CRLF");
        let mut words = line.split(|&b| b == b' ').map(<[u8]>::to_vec);
        let word = words.next().unwrap_or_default();
        let meta = word.len() == 2 && word[0] == b'm' && word != b"mn";
        let keyless: [&[u8]; 5] = [b"mn", b"version", b"stats", b"flush_all", b"config"];
        // The time comes first there.
        let words = &mut words.skip(usize::from(word == b"gats"));
        let is_key = |key: &Vec<u8>| !keyless.contains(&&word[..]) && key != b"AmazonElastiCache:cluster";
        let key = words.next().filter(is_key).unwrap_or_default();
        let mut used = end + 1;
        let stores: [&[u8]; 7] = [b"ms", b"set", b"add", b"replace", b"append", b"prepend", b"cas"];
        if stores.contains(&&word[..]) {
            // In text, flags and time are in front of it.
            let size = words
                .nth(if meta { 0 } else { 2 })
                .and_then(|size| String::from_utf8(size).ok()?.parse::<usize>().ok());
            let size = size.expect("a store says how long its value is");
            let behind = input.get(used + size..used + size + 2)?;
            assert_eq!(behind, b"\r\n", "behind a value");
            used += size + 2;
        }
        let flags = words.filter(|_| meta).collect();
        input.drain(..used);
        Some(Request { word, key, flags })
    }

    /// What is behind the letter of a flag that the request has.
    pub fn flag(&self, name: u8) -> Option<&[u8]> {
        self.flags.iter().find_map(|flag| flag.strip_prefix(&[name]))
    }

    pub fn token(&self) -> Option<u64> {
        std::str::from_utf8(self.flag(b'O')?).ok()?.parse().ok()
    }

    /// The same request with another token.
    pub fn with_token(&self, token: u64) -> Request {
        let mut other = self.clone();
        other.flags.iter_mut().filter(|flag| flag[0] == b'O').for_each(|flag| *flag = format!("O{token}").into_bytes());
        other
    }

    /// Whether it is the servers of a cluster that are asked for.
    pub fn discovers(&self) -> bool {
        self.word == b"config" || self.word == b"get" && self.key.is_empty()
    }

    /// Whether it is the item's state that is asked for.
    pub fn inspects(&self) -> bool {
        self.word == b"mg" && self.flag(b'l').is_some()
    }

    /// Whether it is a meta command about a key.
    pub fn is_meta(&self) -> bool {
        !self.key.is_empty()
    }

    /// Whether it is what a new connection tries first: with all flags that there are.
    pub fn tries(&self) -> bool {
        self.reads() && self.inspects()
    }

    /// Whether the sender makes the item anew if it is told so.
    pub fn leases(&self) -> bool {
        self.reads() && self.flag(b'N').is_some()
    }

    /// Whether an item is asked for.
    pub fn reads(&self) -> bool {
        self.word == b"mg" && self.flag(b'v').is_some()
    }
}
