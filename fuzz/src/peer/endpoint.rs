//! A configuration endpoint, which names the servers of its cluster.

use memcache_engine::{Error, Outcome, MAX_DISCOVERY};

use super::Says;
use crate::request::Request;

/// What is said to the question for the servers; `None`: what is said to any other.
pub fn say(letter: u8, n: usize, head: &Request) -> Option<(Vec<u8>, Says)> {
    let answer = |answer| Says::Answer(Vec::new(), answer);
    let whole = |text: Vec<u8>| Some((said(head, text.len(), &text), answer(Ok(Outcome::Text(text.into())))));
    match letter {
        b'm' => Some((b"END\r\n".to_vec(), answer(Ok(Outcome::Miss)))),
        b'z' => {
            let size = MAX_DISCOVERY + 1 + n;
            let too_large = Error::TooLarge { size, limit: MAX_DISCOVERY };
            Some((said(head, size, &vec![b'x'; size]), answer(Err(too_large))))
        }
        b'y' => Some((said(head, 1 << 30, b""), Says::Anything)),
        b'l' => Some((said(head, list(n).len() + 1 + n, &list(n)), Says::Anything)),
        b'e' => {
            let mut bytes = said(head, list(n).len(), &list(n));
            let at = bytes.len() - 1 - n % b"\r\nEND\r\n".len();
            bytes[at] = b'x';
            Some((bytes, Says::Nonsense(Vec::new())))
        }
        b'Z' | b'r' if n % 2 == 1 => whole([&list(n)[..], &b"|\n \r\x1b\xff"[..n % 6]].concat()),
        b'r' => whole(list(n)),
        _ => None,
    }
}

fn said(head: &Request, size: usize, list: &[u8]) -> Vec<u8> {
    let word = if head.word == b"config" { "CONFIG cluster" } else { "VALUE AmazonElastiCache:cluster" };
    [format!("{word} 0 {size}\r\n").as_bytes(), list, b"\r\nEND\r\n"].concat()
}

/// Up to some kilobytes.
fn list(n: usize) -> Vec<u8> {
    let nodes: Vec<_> = (0..n * n).map(|i| format!("n{i}.example|10.0.0.{}|{}", i % 300, i + n)).collect();
    format!("{n}\n{}\n", nodes.join(" ")).into_bytes()
}
