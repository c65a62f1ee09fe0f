//! A snapshot as JSON. The README of this crate has the schema; [`snapshot`](crate::snapshot) is where it comes from.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use serde_json::Serializer;

use crate::Snapshot;

/// The whole snapshot, on one line.
pub fn render(snapshot: &Snapshot) -> String {
    to_text(snapshot) + "\n"
}

fn to_text(value: &impl Serialize) -> String {
    let mut text = Vec::new();
    // Neither a Vec nor these types can fail.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut text, Harmless));
    String::from_utf8(text).unwrap_or_default()
}

/// Escapes more than JSON asks for, so that whoever puts the text into HTML or a terminal is safe as well.
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

    #[test]
    fn every_field_is_there_with_its_name() {
        let value: Value = serde_json::from_str(&render(&samples::servers(3))).unwrap();
        assert_eq!(value["schema"], 1);
        assert_eq!(value["scope"], "worker");
        let server = &value["clients"][0]["servers"][0];
        assert_eq!(server["state"], "live");
        assert_eq!(server["operations"]["get"], 90_000);
        assert_eq!(server["connections"]["busy"], 1);
        assert_eq!(server["latency"]["buckets"][0], serde_json::json!([127, 1000]));
        assert!(server["latency_by_kind"]["get"]["p99_us"].is_u64());
        assert!(value.get("routes").is_none(), "only if asked for");
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
