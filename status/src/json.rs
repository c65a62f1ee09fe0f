//! A snapshot as JSON. README.md of this crate describes the schema; [`snapshot`](crate::snapshot) defines it.

use std::io;
use std::io::Write as _;
use std::mem;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use serde_json::Serializer;

use crate::pieces::{Cursor, Pieces};
use crate::snapshot::Snapshot;
use crate::switches::Switches;

/// The whole snapshot, on one line.
pub fn render(snapshot: &Snapshot) -> String {
    to_text(snapshot) + "\n"
}

/// The switches of all servers, on one line.
pub fn render_switches(switches: &Switches) -> String {
    to_text(switches) + "\n"
}

/// Writes the next server, or the other fields of a client. Returns whether there is more.
pub(crate) fn step(snapshot: &mut Snapshot, at: &mut Cursor, out: &mut Pieces) -> bool {
    let Cursor { major, minor } = *at;
    let last = snapshot.clients.len();
    if minor == 0 && (major == 0 || major >= last) {
        // Without clients, where these go is known: quotes within texts are escaped.
        let clients = mem::take(&mut snapshot.clients);
        let text = to_text(snapshot);
        snapshot.clients = clients;
        let (head, tail) = text.split_once(CLIENTS).unwrap_or((&text, ""));
        if major == 0 {
            let _ = write!(out, "{head}{}", CLIENTS.trim_end_matches(']'));
        }
        if major >= last {
            let _ = writeln!(out, "]{tail}");
            return false;
        }
    }
    let Some(client) = snapshot.clients.get_mut(major) else { return false };
    let end = client.servers.len();
    if minor == 0 || minor >= end {
        let servers = mem::take(&mut client.servers);
        let text = to_text(client);
        client.servers = servers;
        let (head, tail) = text.split_once(SERVERS).unwrap_or((&text, ""));
        if minor == 0 {
            let _ = write!(out, "{}{head}{}", if major > 0 { "," } else { "" }, SERVERS.trim_end_matches(']'));
        }
        if minor >= end {
            let _ = write!(out, "]{tail}");
            *at = Cursor { major: major.saturating_add(1), minor: 0 };
            return true;
        }
    }
    if let Some(server) = client.servers.get(minor) {
        let _ = write!(out, "{}", if minor > 0 { "," } else { "" });
        let _ = server.serialize(&mut Serializer::with_formatter(out, Harmless));
    }
    at.minor = minor.saturating_add(1);
    true
}

const CLIENTS: &str = "\"clients\":[]";
const SERVERS: &str = "\"servers\":[]";

fn to_text(value: &impl Serialize) -> String {
    let mut text = Vec::new();
    // Neither a Vec nor these types can fail.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut text, Harmless));
    String::from_utf8(text).unwrap_or_default()
}

/// Escapes more than JSON requires, so that the text is also safe in HTML and on a terminal.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain = CompactFormatter;
        for part in fragment.split_inclusive(is_harmful) {
            match part.char_indices().next_back().filter(|&(_, last)| is_harmful(last)) {
                Some((at, last)) => {
                    plain.write_string_fragment(writer, part.get(..at).unwrap_or_default())?;
                    write!(writer, "\\u{:04x}", u32::from(last))?;
                }
                None => plain.write_string_fragment(writer, part)?,
            }
        }
        Ok(())
    }
}

fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '<' | '>' | '&' | '\'' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::samples;
    use crate::switches::{Cluster, Server};

    #[test]
    fn every_field_is_there_with_its_name() {
        let value: Value = serde_json::from_str(&render(&samples::servers(3))).unwrap();
        assert_eq!(value["schema"], 2);
        assert_eq!(value["scope"], "worker");
        let server = &value["clients"][0]["servers"][0];
        assert_eq!(server["state"], "live");
        assert_eq!(server["operations"]["get"], 90_000);
        assert_eq!(server["connections"]["busy"], 1);
        assert_eq!(server["latency"]["buckets"][0], serde_json::json!([127, 1000]));
        assert!(server["latency_by_kind"]["get"]["p99_us"].is_u64());
        assert!(value.get("routes").is_none(), "only if asked for");
    }

    #[test]
    fn r51_step_by_step_it_is_the_same() {
        let mut several = samples::servers(3);
        several.clients.push(samples::servers(1).clients.remove(0));
        several.clients.push(samples::servers(1).clients.remove(0));
        several.clients[1].servers.clear();
        several.clients[2].used_by.push("\"clients\":[] \"servers\":[]".into());
        let mut none = samples::servers(1);
        none.clients.clear();
        for mut snapshot in [several, none, samples::servers(1)] {
            let (mut at, mut out, mut longest, mut before) = (Cursor::default(), Pieces::default(), 0, 0);
            while step(&mut snapshot, &mut at, &mut out) {
                longest = longest.max(out.len() - before);
                before = out.len();
            }
            assert!(longest < 20_000, "a server at a time: {longest}");
            assert_eq!(out.into_text(), render(&snapshot));
        }
    }

    #[test]
    fn names_of_switches_are_escaped() {
        let server = Server { address: "a\"<b>:1".into(), state: "down", since: Some(7), from: Some("::1".into()) };
        let clusters = vec![Cluster { cluster: "c".into(), servers: vec![server] }];
        let text = render_switches(&Switches { clusters, ambiguous: vec!["&".into()] });
        let server = "{\"address\":\"a\\\"\\u003cb\\u003e:1\",\"state\":\"down\",\"since\":7,\"from\":\"::1\"}";
        let all =
            format!("{{\"clusters\":[{{\"cluster\":\"c\",\"servers\":[{server}]}}],\"ambiguous\":[\"\\u0026\"]}}\n");
        assert_eq!(text, all);
    }

    proptest! {
        #[test]
        fn any_text_comes_back_and_is_harmless(text: String) {
            let json = to_text(&text);
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
            prop_assert!(!json.contains(is_harmful), "{}", json);
        }
    }
}
