//! Rendering of a snapshot in small steps.

use crate::pieces::{Cursor, Pieces};
use crate::query::Format;
use crate::snapshot::Snapshot;
use crate::{html, json, prometheus};

/// A snapshot that is being written.
#[derive(Debug)]
pub struct Rendering {
    format: Format,
    at: Cursor,
}

impl Rendering {
    /// Nothing is written yet.
    pub fn new(format: Format) -> Self {
        Rendering { format, at: Cursor::default() }
    }

    /// Writes the next part: a few servers, or the whole page, whose size is bounded. Returns whether there is more.
    pub fn step(&mut self, snapshot: &mut Snapshot, out: &mut Pieces) -> bool {
        let more = match self.format {
            Format::Html => html::write(snapshot, out),
            Format::Json => json::step(snapshot, &mut self.at, out),
            Format::Prometheus => prometheus::step(snapshot, &mut self.at, out),
        };
        more && out.is_complete()
    }
}
