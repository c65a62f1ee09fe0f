//! memcached's versions and their differences.

use std::fmt;

use super::number::leading_number;

/// A version of memcached: the three numbers of its answer to `version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u16,
    minor: u16,
    patch: u16,
}

impl Version {
    /// The first version with the meta protocol of today. Earlier ones answer `mn` as well, but have other flags, and
    /// run the *value* of a refused store as commands.
    pub const OLDEST: Version = Version::new(1, 6, 10);

    /// The first version in which `md` compares versions. Earlier ones answer that the version differs.
    pub(crate) const COMPARES_ON_DELETE: Version = Version::new(1, 6, 13);

    /// The version of these numbers.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Version { major, minor, patch }
    }

    /// Parses `1.6.18`, `1.6.0-beta1`, `1.6.21_3_g2d51e36`; `None`: it is no version of memcached.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (major, rest) = number(text)?;
        let (minor, rest) = number(rest.strip_prefix(b".")?)?;
        let (patch, rest) = number(rest.strip_prefix(b".")?)?;
        let is_known = rest.is_empty() || (matches!(rest.first(), Some(b'-' | b'_')) && !rest.contains(&b' '));
        is_known.then_some(Version { major, minor, patch })
    }

    /// The version as a number for shared memory, never 0.
    pub(crate) fn to_u64(self) -> u64 {
        let [a, b] = self.major.to_be_bytes();
        let [c, d] = self.minor.to_be_bytes();
        let [e, f] = self.patch.to_be_bytes();
        u64::from_be_bytes([0, 1, a, b, c, d, e, f])
    }

    /// The version from that number.
    pub(crate) fn from_u64(number: u64) -> Option<Self> {
        let [0, 1, a, b, c, d, e, f] = number.to_be_bytes() else { return None };
        let number = |high, low| u16::from_be_bytes([high, low]);
        Some(Version { major: number(a, b), minor: number(c, d), patch: number(e, f) })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

fn number(text: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = leading_number(text)?;
    Some((u16::try_from(number).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_memcached_and_of_others() {
        for (text, version) in [
            ("1.6.18", Version::new(1, 6, 18)),
            ("1.4.39", Version::new(1, 4, 39)),
            ("1.6.0-beta1", Version::new(1, 6, 0)),
            ("1.6.21_3_g2d51e36", Version::new(1, 6, 21)),
            ("2.0.0", Version::new(2, 0, 0)),
        ] {
            assert_eq!(Version::parse(text.as_bytes()), Some(version), "{text}");
            assert_eq!(Version::from_u64(version.to_u64()), Some(version));
        }
        for text in [
            "",
            "1",
            "1.6",
            "1.6.",
            "1.6.x",
            "v1.6.18",
            "1.6.0 DF",
            "1.6.18-a b",
            "1.6.18.1",
            "mcrouter 41.0",
            "1.6.70000",
        ] {
            assert_eq!(Version::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Version::from_u64(0), None);
        assert_eq!(Version::OLDEST.to_string(), "1.6.10");
        assert!(Version::new(1, 6, 9) < Version::OLDEST && Version::new(1, 10, 0) > Version::OLDEST);
    }
}
