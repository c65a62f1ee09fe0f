//! The usual reply to a get.
//!
//! All of it but three numbers is known beforehand, so it is compared instead of parsed. Any other reply goes to
//! [`decode`](super::decode).

use crate::protocol::line::Hit;
use crate::protocol::number::leading_number;
use crate::protocol::token::Token;

/// The reply at the front of the buffer, if it is complete and the usual one to a get of this key, in its wire form,
/// with this token: `VA size f… c… kKEY O…` and its value; with `t…` in front of the key if the get touches.
#[inline(always)]
pub(crate) fn read(buffer: &[u8], key: &[u8], token: Token) -> Option<Hit> {
    let (size, rest) = leading_number(buffer.strip_prefix(b"VA ")?)?;
    let (flags, rest) = leading_number(rest.strip_prefix(b" f")?)?;
    let (cas, rest) = leading_number(rest.strip_prefix(b" c")?)?;
    let rest = rest.strip_prefix(b" k").or_else(|| behind_life(rest))?.strip_prefix(key)?;
    let (echoed, rest) = leading_number(rest.strip_prefix(b" O")?)?;
    let value = rest.strip_prefix(b"\r\n").filter(|_| echoed == u64::from(token))?;
    let size = usize::try_from(size).ok()?;
    let is_whole = value.get(size..)?.starts_with(b"\r\n");
    let line = buffer.len().saturating_sub(value.len());
    let whole = line.saturating_add(size).saturating_add(2);
    is_whole.then_some(Hit { whole, line, size, flags: u32::try_from(flags).ok()?, cas })
}

/// The bytes behind an item's old life and the ` k`.
fn behind_life(rest: &[u8]) -> Option<&[u8]> {
    let life = rest.strip_prefix(b" t")?;
    let rest = life.strip_prefix(b"-1").or_else(|| Some(leading_number(life)?.1))?;
    rest.strip_prefix(b" k")
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::altered::altered;
    use crate::protocol::decoder::Decoder;
    use crate::protocol::line::{Code, Head, Line};

    const USUAL: &[u8] = b"VA 3 f7 c18446744073709551615 kcow O9\r\nmoo\r\nEN\r\n";

    #[test]
    fn the_usual_reply() {
        let hit = Hit { whole: 44, line: 39, size: 3, flags: 7, cas: u64::MAX };
        assert_eq!(read(USUAL, b"cow", 9), Some(hit));
    }

    #[test]
    fn another_key_another_token_or_less_is_not_it() {
        for key in [&b""[..], b"co", b"cows", b"cot"] {
            assert_eq!(read(USUAL, key, 9), None);
        }
        for token in [0, 8, 90] {
            assert_eq!(read(USUAL, b"cow", token), None);
        }
        for len in 0..USUAL.len() - 4 {
            assert_eq!(read(&USUAL[..len], b"cow", 9), None, "{len} bytes");
        }
    }

    #[test]
    fn a_touched_one_says_how_long_it_had() {
        let usual = std::str::from_utf8(USUAL).unwrap();
        for (life, is_one) in
            [("t0", true), ("t4294967295", true), ("t-1", true), ("t", false), ("t-2", false), ("l5", false)]
        {
            let reply = usual.replace(" k", &format!(" {life} k"));
            let hit = Hit { whole: 45 + life.len(), line: 40 + life.len(), size: 3, flags: 7, cas: u64::MAX };
            assert_eq!(read(reply.as_bytes(), b"cow", 9), is_one.then_some(hit), "{life}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// If it is accepted, the general decoder reads the same from it.
        #[test]
        fn is_what_it_is_taken_for(reply in altered(USUAL, USUAL.len() - 4, b"0179 kOfcVAWXZb-\r\n\0")) {
            if let Some(hit) = read(&reply, b"cow", 9) {
                let (line, used) = Decoder::default().line(&reply).unwrap().unwrap();
                let Hit { size, flags, cas, .. } = hit;
                let key = Some(&b"cow"[..]);
                let head = Head { code: Code::Value, size, token: Some(9), key, flags, cas, ..Head::default() };
                prop_assert_eq!(line, Line::Head(head));
                prop_assert_eq!(used, hit.line);
                prop_assert!(reply[used + size..].starts_with(b"\r\n"));
            }
        }
    }
}
