//! Arguments of a line: their value, or an error.

#![forbid(unsafe_code)]

use core::fmt;
use core::time::Duration;

use memcache_engine::config::parse_seconds;
use memcache_engine::limits::MAX_TIMEOUT;

use crate::nginx::conf::{Conf, LineError};
use crate::nginx::parse;

/// A time above 0 and up to [`MAX_TIMEOUT`].
pub fn time(line: &Conf<'_>) -> Result<Duration, LineError> {
    let time = parse::time(line.arg()).map(Duration::from_millis);
    time.filter(|time| !time.is_zero() && *time <= MAX_TIMEOUT).ok_or_else(|| {
        let hours = MAX_TIMEOUT.as_secs() / 3600;
        invalid(line, "value", format_args!("a time from 1ms to {hours}h"))
    })
}

/// A time in whole seconds, as memcached has them.
pub fn seconds(line: &Conf<'_>, least: u32, most: u32) -> Result<u32, LineError> {
    let seconds = parse_seconds(line.arg()).filter(|seconds| (least..=most).contains(seconds));
    let days = most / 86_400;
    seconds.ok_or_else(|| invalid(line, "value", format_args!("a time in whole seconds from {least}s to {days}d")))
}

/// A size in bytes, with nginx's units.
pub fn size(line: &Conf<'_>, least: usize, most: usize) -> Result<usize, LineError> {
    let size = parse::offset(line.arg()).filter(|size| (least..=most).contains(size));
    size.ok_or_else(|| invalid(line, "value", format_args!("a size from {least} to {most}")))
}

/// A decimal number.
pub fn number(line: &Conf<'_>, least: usize, most: usize) -> Result<usize, LineError> {
    let text = line.arg();
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(invalid(line, "number", format_args!("from {least} to {most}")));
    }
    let number = core::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.filter(|number| (least..=most).contains(number)).ok_or_else(|| {
        let name = line.name().escape_ascii();
        LineError::Text(format!("\"{name}\" value must be between {least} and {most}"))
    })
}

/// `on` or `off`. nginx's own function for flags writes to the configuration; this one has the same messages.
pub fn flag(line: &Conf<'_>) -> Result<bool, LineError> {
    match line.arg() {
        word if word.eq_ignore_ascii_case(b"on") => Ok(true),
        word if word.eq_ignore_ascii_case(b"off") => Ok(false),
        _ => Err(invalid_word(line, &["on", "off"])),
    }
}

/// The name and the size of shared memory, `name:size`.
pub fn zone<'a>(line: &Conf<'a>) -> Result<(&'a [u8], usize), LineError> {
    let text = line.arg();
    let quoted = |what| {
        LineError::Text(format!(
            "invalid zone {what} \"{}\", it must be a name and a size such as \"memcache:1m\"",
            text.escape_ascii()
        ))
    };
    let colon = text.iter().position(|&byte| byte == b':').ok_or_else(|| quoted("size"))?;
    let (name, size) = text.split_at_checked(colon).ok_or_else(|| quoted("size"))?;
    if name.is_empty() {
        return Err(quoted("name"));
    }
    let size = parse::size(size.get(1..).unwrap_or_default()).filter(|&size| size > 0);
    Ok((name, size.ok_or_else(|| quoted("size"))?))
}

/// The error for an argument that is none of these words.
pub fn invalid_word(line: &Conf<'_>, words: &[&str]) -> LineError {
    invalid_word_of(line, line.arg(), words)
}

/// The same for one word of several.
pub fn invalid_word_of(line: &Conf<'_>, word: &[u8], words: &[&str]) -> LineError {
    let (name, arg) = (line.name().escape_ascii(), word.escape_ascii());
    let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let valid = match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    };
    LineError::Text(format!("invalid value \"{arg}\" in \"{name}\" directive, it must be {valid}"))
}

/// `"memcache_timeout" directive invalid value "0", it must be a time from 1ms to 24h`. It begins like nginx's own text.
fn invalid(line: &Conf<'_>, what: &str, valid: fmt::Arguments<'_>) -> LineError {
    let (name, arg) = (line.name().escape_ascii(), line.arg().escape_ascii());
    LineError::Text(format!("\"{name}\" directive invalid {what} \"{arg}\", it must be {valid}"))
}
