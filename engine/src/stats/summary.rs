//! The log line that sums up the failures of a server.

use std::fmt::Write as _;

use bytes::Bytes;

use super::fault::Fault;
use super::numbers::Errors;

/// The failures of a server since the last line about it.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Operations that failed.
    pub errors: Errors,
    /// The text of the last `SERVER_ERROR`.
    pub said: Bytes,
    /// Connections that were lost or could not be made, without a line of their own.
    pub connections: u32,
    /// The fault of the last of them.
    pub fault: Option<Fault>,
}

/// The most bytes of a server's text in the log.
const QUOTED: usize = 64;

impl Summary {
    /// The log line about the server called `name`; `None` if there was no failure. The server's text is escaped.
    ///
    /// It leaves out errors of the caller, and cancelled operations: [`Errors::client`] and [`Errors::cancelled`].
    pub fn text(&self, name: &[u8]) -> Option<String> {
        let Errors { not_sent, unknown, timeout, busy, server_down, server, protocol, too_large, no_memory, .. } =
            self.errors;
        let quoted = self.said.get(..QUOTED).unwrap_or(&self.said).escape_ascii();
        let said = format!("SERVER_ERROR \"{quoted}\"");
        let classes = [
            (server_down, "the server is down"),
            (timeout, "timed out"),
            (unknown, "the connection was lost before the reply"),
            (not_sent, "not sent"),
            (busy, "too many waited for the server"),
            (server, &said),
            (protocol, "the server broke the protocol"),
            (too_large, "the value is larger than memcache_max_value"),
            (no_memory, "no memory"),
        ];
        let failed: Vec<_> = classes.into_iter().filter(|&(count, _)| count > 0).collect();
        let all = failed.iter().fold(0_u64, |all, &(count, _)| all.saturating_add(count));

        let name = name.escape_ascii();
        let mut text = match failed.as_slice() {
            [] => String::new(),
            [(1, why)] => format!("memcache: an operation for \"{name}\" failed: {why}"),
            [(count, why)] => format!("memcache: {count} operations for \"{name}\" failed: {why}"),
            _ => format!("memcache: {all} operations for \"{name}\" failed: "),
        };
        if failed.len() > 1 {
            for (n, (count, why)) in failed.iter().enumerate() {
                let comma = if n == 0 { "" } else { ", " };
                // Writing to a string does not fail.
                let _ = write!(text, "{comma}{count} {why}");
            }
        }
        if self.connections > 0 {
            let last = self.fault.map_or("", Fault::text);
            let count = match self.connections {
                1 => "one more connection".to_owned(),
                count => format!("{count} more connections"),
            };
            let _ = match text.is_empty() {
                true => write!(text, "memcache: {count} to \"{name}\" failed or lost, last: {last}"),
                false => write!(text, "; {count} failed or lost, last: {last}"),
            };
        }
        Some(text).filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(summary: Summary) -> Option<String> {
        summary.text(b"h:1")
    }

    #[test]
    fn one_class_or_several() {
        assert_eq!(text(Summary::default()), None);
        let errors = Errors { timeout: 1, ..Errors::default() };
        let line = "memcache: an operation for \"h:1\" failed: timed out";
        assert_eq!(text(Summary { errors, ..Summary::default() }).as_deref(), Some(line));
        let errors = Errors { server_down: 70_000, ..Errors::default() };
        let line = "memcache: 70000 operations for \"h:1\" failed: the server is down";
        assert_eq!(text(Summary { errors, ..Summary::default() }).as_deref(), Some(line));
        let errors = Errors { server_down: 10, timeout: 2, busy: 3, ..Errors::default() };
        let line = "memcache: 15 operations for \"h:1\" failed: 10 the server is down, 2 timed out, 3 too many waited for the server";
        assert_eq!(text(Summary { errors, ..Summary::default() }).as_deref(), Some(line));
    }

    #[test]
    fn connections_have_no_line_of_their_own_beside_operations() {
        let summary = Summary { connections: 7, fault: Some(Fault::Eof), ..Summary::default() };
        let line = "memcache: 7 more connections to \"h:1\" failed or lost, last: closed by the server";
        assert_eq!(text(summary.clone()).as_deref(), Some(line));
        let errors = Errors { unknown: 9, ..Errors::default() };
        let line = "memcache: 9 operations for \"h:1\" failed: the connection was lost before the reply; \
                    7 more connections failed or lost, last: closed by the server";
        assert_eq!(text(Summary { errors, ..summary }).as_deref(), Some(line));
    }

    #[test]
    fn what_callers_did_is_theirs() {
        let errors = Errors { client: 5, cancelled: 5, ..Errors::default() };
        assert_eq!(text(Summary { errors, ..Summary::default() }), None);
    }

    #[test]
    fn what_a_server_said_is_escaped_and_short() {
        let said = Bytes::from(["a\n\x1b\"".repeat(10), "z".repeat(9000)].concat());
        let errors = Errors { server: 1, ..Errors::default() };
        let line = text(Summary { errors, said, ..Summary::default() }).unwrap();
        assert!(line.contains(r#"SERVER_ERROR "a\n\x1b\"a\n"#), "{line}");
        assert!(line.bytes().all(|byte| (b' '..0x7f).contains(&byte)) && line.len() < 300, "{line}");
    }
}
