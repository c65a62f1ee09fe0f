//! How far requests are sent ahead of their replies.
//!
//! What was sent is answered, whoever still waits for it, and all that is behind it on the connection waits for that. A
//! client of nginx that asks for many large items and goes away would hold everybody up with them, again and again. So
//! what is likely to be for nobody is sent by and by, and what has not been sent when it is given up is gone at no cost:
//!
//! - By the last [`MEMORY`] replies of the server it is known how many bytes a reply brings for nobody, on average. Of what
//!   is under way on a connection, [`MAX_WASTE`] bytes may be like that. While most replies find somebody who waits for them,
//!   or are small, everything is sent at once.
//! - Of values that are known to be large, [`MAX_LARGE`] bytes may be asked for at once, which keeps any link busy.
//!
//! One request is always sent. What is not sent stays in its place in the FIFO, so that the order is the same.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use super::expect::Expect;
use crate::limits::{MAX_LARGE, MAX_WASTE};

/// So many of the last replies count, each a little less than the next one.
const MEMORY: u64 = 1024;

/// Bytes of values that came for nobody with a server's last replies: [`MEMORY`] times what a mean one of them brought. All
/// of its connections know what one of them has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waste(Arc<AtomicU64>);

impl Waste {
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// A reply has come.
    fn forget(&self) {
        let bytes = self.get();
        if bytes > 0 {
            self.0.store(bytes.saturating_sub(bytes.div_ceil(MEMORY)), Ordering::Relaxed);
        }
    }

    fn add(&self, bytes: usize) {
        self.0.store(self.get().saturating_add(bytes as u64), Ordering::Relaxed);
    }
}

/// What is under way on a connection, and what became of what was.
#[derive(Debug)]
pub(super) struct Ahead {
    /// Requests that were encoded, have no reply, and may be answered with a value.
    values: u64,
    /// Bytes that are expected with them, of those that are large.
    large: u64,
    waste: Waste,
}

impl Ahead {
    pub fn new(waste: Waste) -> Self {
        Ahead { values: 0, large: 0, waste }
    }

    /// Whether another request may be sent.
    pub fn has_room(&self) -> bool {
        self.large < MAX_LARGE && self.values.saturating_mul(self.waste.get()) < MAX_WASTE * MEMORY
    }

    /// A request was encoded, with which so many bytes are expected, if they are many.
    pub fn asked(&mut self, expect: Expect, large: u32) {
        if expect.takes_value() {
            self.values = self.values.saturating_add(1);
            self.large = self.large.saturating_add(large.into());
        }
    }

    /// One has left the FIFO, with its reply.
    pub fn answered(&mut self, expect: Expect, large: u32) {
        if expect.takes_value() {
            self.values = self.values.saturating_sub(1);
            self.large = self.large.saturating_sub(large.into());
            self.waste.forget();
        }
    }

    /// A value has come for nobody.
    pub fn wasted(&mut self, bytes: usize) {
        self.waste.add(bytes);
    }

    /// Values that are under way, and bytes of large ones.
    pub fn counted(&self) -> (u64, u64) {
        (self.values, self.large)
    }
}
