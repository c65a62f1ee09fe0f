//! The usual reply to a get. All of it but three numbers is known beforehand. Any other reply goes to
//! [`decode`](super::decode).

use super::VALUE_END;
use crate::protocol::line::Hit;
use crate::protocol::number::leading_number;

/// The reply at the front of the buffer, if it is complete and the usual one to a get of this key:
/// `VALUE KEY flags size version`, the value, and `END`.
#[inline(never)]
pub(crate) fn read(buffer: &[u8], key: &[u8]) -> Option<Hit> {
    let rest = buffer.strip_prefix(b"VALUE ")?.strip_prefix(key)?;
    let (flags, rest) = leading_number(rest.strip_prefix(b" ")?)?;
    let (size, rest) = leading_number(rest.strip_prefix(b" ")?)?;
    let (cas, rest) = leading_number(rest.strip_prefix(b" ")?)?;
    let value = rest.strip_prefix(b"\r\n")?;
    let size = usize::try_from(size).ok()?;
    let is_whole = value.get(size..)?.starts_with(VALUE_END);
    let line = buffer.len().saturating_sub(value.len());
    let whole = line.saturating_add(size).saturating_add(VALUE_END.len());
    is_whole.then_some(Hit { whole, line, size, flags: u32::try_from(flags).ok()?, cas })
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::altered::altered;
    use crate::protocol::decoder::Decoder;
    use crate::protocol::expect::Expect;
    use crate::protocol::line::{Code, Head, Line};

    const USUAL: &[u8] = b"VALUE cow 7 3 18446744073709551615\r\nmoo\r\nEND\r\nEND\r\n";

    #[test]
    fn the_usual_reply() {
        let hit = Hit { whole: 46, line: 36, size: 3, flags: 7, cas: u64::MAX };
        assert_eq!(read(USUAL, b"cow"), Some(hit));
        for key in [&b""[..], b"co", b"cows", b"cot"] {
            assert_eq!(read(USUAL, key), None);
        }
        for len in 0..USUAL.len() - 5 {
            assert_eq!(read(&USUAL[..len], b"cow"), None, "{len} bytes");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// If it is accepted, the general decoder reads the same from it.
        #[test]
        fn is_what_it_is_taken_for(reply in altered(USUAL, USUAL.len() - 5, b"0179 VALUEDwc-\r\n\0")) {
            if let Some(hit) = read(&reply, b"cow") {
                let (line, used) = Decoder::default().text_line(&reply, Expect::Get).unwrap().unwrap();
                let Hit { size, flags, cas, .. } = hit;
                let head = Head { code: Code::Value, size, key: Some(b"cow"), flags, cas, ..Head::default() };
                prop_assert_eq!(line, Line::Head(head));
                prop_assert_eq!(used, hit.line);
                prop_assert!(reply[used + size..].starts_with(VALUE_END));
            }
        }
    }
}
