//! Decimal numbers, as memcached writes them.

/// The decimal digits at the front, at least one and at most as many as fit 64 bits, and the bytes that follow.
#[inline(always)]
pub(crate) fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    /// Any number of this many digits fits.
    const SURE: usize = 19;

    let (mut n, mut len) = (0u64, 0usize);
    for &byte in text {
        let digit = u64::from(byte).wrapping_sub(b'0'.into());
        if digit > 9 {
            break;
        }
        n = n.wrapping_mul(10).wrapping_add(digit);
        len = len.wrapping_add(1);
    }
    let (digits, rest) = text.split_at_checked(len)?;
    match len {
        0 => None,
        1..=SURE => Some((n, rest)),
        _ => Some((checked_number(digits)?, rest)),
    }
}

/// The number of these digits, if it fits 64 bits.
#[cold]
fn checked_number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |n, &byte| n.checked_mul(10)?.checked_add(byte.wrapping_sub(b'0').into()))
}

/// The number, if the bytes are decimal digits only and fit 64 bits.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    leading_number(digits).and_then(|(n, rest)| rest.is_empty().then_some(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for text in [&b""[..], b"18446744073709551616", b"-1", b" 1", b"1 ", b"a", b"/", b":"] {
            assert_eq!(number(text), None);
        }
    }
}
