//! What a snapshot is made into, a little at a time.

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
    /// Nothing was written yet.
    pub fn new(format: Format) -> Self {
        Rendering { format, at: Cursor::default() }
    }

    /// Writes more: what belongs to a few servers, or a page, whose size is bounded. Returns whether there is yet more to
    /// write.
    pub fn step(&mut self, snapshot: &mut Snapshot, out: &mut Pieces) -> bool {
        let more = match self.format {
            Format::Html => html::write(snapshot, out),
            Format::Json => json::step(snapshot, &mut self.at, out),
            Format::Prometheus => prometheus::step(snapshot, &mut self.at, out),
        };
        more && out.is_complete()
    }
}
