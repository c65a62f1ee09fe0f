//! The arguments of a request.

use std::str;

use super::Refusal;

/// `name=value&name`.
#[derive(Clone, Copy)]
pub struct Args<'a>(pub &'a [u8]);

impl<'a> Args<'a> {
    /// The value of an argument, empty if it has none.
    pub fn value(self, name: &str) -> Option<&'a [u8]> {
        // Most requests have no arguments, and many names are asked for.
        if self.0.is_empty() {
            return None;
        }
        self.0.split(|&byte| byte == b'&').find_map(|arg| match arg.strip_prefix(name.as_bytes())? {
            [] => Some(&[][..]),
            [b'=', value @ ..] => Some(value),
            _ => None,
        })
    }

    /// Refuses other arguments than these, and arguments that are given twice.
    pub fn check(self, known: &[&str]) -> Result<(), Refusal> {
        let mut seen = Vec::new();
        for arg in self.0.split(|&byte| byte == b'&').filter(|arg| !arg.is_empty()) {
            let name = arg.split(|&byte| byte == b'=').next().unwrap_or_default();
            if seen.contains(&name) || !known.iter().any(|known| known.as_bytes() == name) {
                return Err(Refusal::BadArgument(name.to_vec()));
            }
            seen.push(name);
        }
        Ok(())
    }

    /// Whether there is an argument that takes no value.
    pub fn flag(self, name: &str) -> Result<bool, Refusal> {
        match self.value(name) {
            None => Ok(false),
            Some([]) => Ok(true),
            Some(_) => Err(Refusal::BadArgument(name.into())),
        }
    }

    /// The number in an argument.
    pub fn number<T: Number>(self, name: &str) -> Result<Option<T>, Refusal> {
        self.value(name).map(|text| number(text, format_args!("the argument {name}"))).transpose()
    }

    /// The same for a required argument.
    pub fn required<T: Number>(self, name: &str) -> Result<T, Refusal> {
        self.number(name)?.ok_or_else(|| Refusal::bad(format_args!("the argument {name} is missing")))
    }

    /// The one of these arguments that is given; two of them contradict each other.
    pub fn only(self, names: &[&'static str]) -> Result<Option<&'static str>, Refusal> {
        let mut asked = names.iter().copied().filter(|name| self.value(name).is_some());
        match (asked.next(), asked.next()) {
            (Some(one), Some(other)) => Err(Refusal::bad(format_args!("{one} and {other} are two actions"))),
            (asked, _) => Ok(asked),
        }
    }
}

/// A number that an argument or a header may be.
pub trait Number: str::FromStr + std::fmt::Display {
    /// The largest.
    const MAX: Self;
}

impl Number for u32 {
    const MAX: Self = u32::MAX;
}

impl Number for u64 {
    const MAX: Self = u64::MAX;
}

impl Number for usize {
    const MAX: Self = usize::MAX;
}

/// Decimal digits; `what` has them.
pub fn number<T: Number>(text: &[u8], what: std::fmt::Arguments<'_>) -> Result<T, Refusal> {
    let digits = str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| Refusal::bad(format_args!("{what} has to be a number from 0 to {}", T::MAX)))
}
