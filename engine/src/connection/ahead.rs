//! How far requests are sent ahead of their replies.
//!
//! What was sent is answered, whoever still waits for it, and all that is behind it on the connection waits for that. A
//! client of nginx that asks for many large items and goes away would hold everybody up with them, again and again. So
//! what is likely to be for nobody is sent by and by, and what has not been sent when it is given up is gone at no cost:
//!
//! - By the last [`MEMORY`] replies of the server it is known how many bytes a reply brings for nobody, on average. Of what
//!   is under way to it, [`MAX_WASTE`] bytes may be like that. While most replies find somebody who waits for them, or are
//!   small, this holds nothing back.
//! - What was given up when it was under way is for nobody, whatever comes of it: until that is known, it counts as
//!   [`GUESS`] bytes.
//! - Of values that are known to be large, [`MAX_LARGE`] bytes may be asked for at once on a connection, which keeps any
//!   link busy.
//!
//! One request is always sent on each connection. What is not sent stays in its place in the FIFO, so that the order is the
//! same.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

use super::expect::Expect;
use crate::limits::{MAX_LARGE, MAX_WASTE};

/// So many of the last replies count, each a little less than the next one.
const MEMORY: u64 = 1024;

/// Bytes of a value of which nothing is known.
const GUESS: u64 = 1024;

/// What all connections of a server know together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waste(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Requests under way that may be answered with a value, and those of them that were given up.
    values: AtomicU64,
    given_up: AtomicU64,
    /// Bytes of values that came for nobody with the last replies: [`MEMORY`] times what a mean one of them brought.
    bytes: AtomicU64,
}

/// What is under way on a connection, and what became of what was.
#[derive(Debug)]
pub(super) struct Ahead {
    /// Requests that were encoded, have no reply, and may be answered with a value.
    values: u64,
    /// Bytes that are expected with them, of those that are large.
    large: u64,
    /// Those of the requests that were given up.
    given_up: u64,
    waste: Waste,
}

impl Ahead {
    pub fn new(waste: Waste) -> Self {
        Ahead { values: 0, large: 0, given_up: 0, waste }
    }

    /// Whether another request may be sent.
    #[inline]
    pub fn has_room(&self) -> bool {
        let Shared { values, given_up, bytes } = &*self.waste.0;
        let likely = values.load(Relaxed).saturating_mul(bytes.load(Relaxed)) / MEMORY;
        let certain = given_up.load(Relaxed).saturating_mul(GUESS);
        self.values == 0 || (likely.max(certain) < MAX_WASTE && self.large < MAX_LARGE)
    }

    /// A request was encoded, with which so many bytes are expected, if they are many.
    #[inline]
    pub fn asked(&mut self, expect: Expect, large: u32) {
        if expect.takes_value() {
            self.values = self.values.saturating_add(1);
            self.large = self.large.saturating_add(large.into());
            change(&self.waste.0.values, |values| values.saturating_add(1));
        }
    }

    /// One was given up.
    pub fn gave_up(&mut self, expect: Expect) {
        if expect.takes_value() {
            self.given_up = self.given_up.saturating_add(1);
            change(&self.waste.0.given_up, |given_up| given_up.saturating_add(1));
        }
    }

    /// One has left the FIFO, with its reply; `wanted`: it was not given up.
    #[inline]
    pub fn answered(&mut self, expect: Expect, large: u32, wanted: bool) {
        if expect.takes_value() {
            if !wanted {
                self.given_up = self.given_up.saturating_sub(1);
                change(&self.waste.0.given_up, |given_up| given_up.saturating_sub(1));
            }
            self.values = self.values.saturating_sub(1);
            self.large = self.large.saturating_sub(large.into());
            change(&self.waste.0.values, |values| values.saturating_sub(1));
            change(&self.waste.0.bytes, |bytes| bytes.saturating_sub(bytes.div_ceil(MEMORY)));
        }
    }

    /// A value has come for nobody.
    pub fn wasted(&mut self, bytes: usize) {
        change(&self.waste.0.bytes, |before| before.saturating_add(bytes as u64));
    }

    /// Values that are under way, bytes of large ones, and values that were given up.
    pub fn counted(&self) -> (u64, u64, u64) {
        (self.values, self.large, self.given_up)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        change(&self.waste.0.values, |values| values.saturating_sub(self.values));
        change(&self.waste.0.given_up, |given_up| given_up.saturating_sub(self.given_up));
    }
}

/// All connections of a client are on one thread.
#[inline]
fn change(number: &AtomicU64, to: impl FnOnce(u64) -> u64) {
    number.store(to(number.load(Relaxed)), Relaxed);
}
