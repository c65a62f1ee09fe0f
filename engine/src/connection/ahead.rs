//! A limit on requests that are sent ahead of replies.
//!
//! The server answers each request that was sent, even if no operation waits for the reply, and later requests on the
//! connection wait for that reply. A client of nginx that asks for many large items and disconnects would delay all
//! others. So requests whose replies are probably unwanted are sent gradually. A request that is given up before it was
//! sent costs nothing. Three limits decide:
//!
//! - The last [`MEMORY`] replies of the server tell how many unwanted bytes a reply brings on average. [`MAX_WASTE`] such
//!   bytes may be under way to the server. While most replies are wanted, or small, this holds nothing back.
//! - A request that is given up while it is under way counts as [`GUESS`] bytes until its reply has come.
//! - [`MAX_LARGE`] bytes of values that are known to be large may be asked for at once on a connection. That keeps any link
//!   busy.
//!
//! A connection may always send one request. A request that is held back keeps its place in the FIFO, so the order does
//! not change.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

use crate::limits::{MAX_LARGE, MAX_WASTE};
use crate::protocol::expect::Expect;

/// The average covers about this many replies, with decreasing weight.
const MEMORY: u64 = 1024;

/// The assumed bytes of a value of unknown size.
const GUESS: u64 = 1024;

/// The state that all connections of a server share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waste(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Requests under way that may bring a value, and the number of these that were given up.
    values: AtomicU64,
    given_up: AtomicU64,
    /// Unwanted bytes of values in the last replies: [`MEMORY`] times the average.
    bytes: AtomicU64,
}

/// The requests under way on a connection.
#[derive(Debug)]
pub(super) struct Ahead {
    /// Encoded requests without a reply that may bring a value.
    values: u64,
    /// Expected bytes of their large values.
    large: u64,
    /// The number of these requests that were given up.
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

    /// A request was encoded. `large`: the expected bytes, if its value is large.
    #[inline]
    pub fn asked(&mut self, expect: Expect, large: u32) {
        if expect.takes_value() {
            self.values = self.values.saturating_add(1);
            self.large = self.large.saturating_add(large.into());
            change(&self.waste.0.values, |values| values.saturating_add(1));
        }
    }

    /// A request was given up.
    pub fn gave_up(&mut self, expect: Expect) {
        if expect.takes_value() {
            self.given_up = self.given_up.saturating_add(1);
            change(&self.waste.0.given_up, |given_up| given_up.saturating_add(1));
        }
    }

    /// A request left the FIFO with its reply. `wanted`: it was not given up.
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

    /// An unwanted value has come.
    pub fn wasted(&mut self, bytes: usize) {
        change(&self.waste.0.bytes, |before| before.saturating_add(bytes as u64));
    }

    /// The values under way, the bytes of large ones, and the values that were given up.
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
