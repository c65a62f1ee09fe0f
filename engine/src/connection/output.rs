//! Writing: the FIFO of requests, and their encoding.

use std::collections::TryReserveError;
use std::io::IoSlice;

use bytes::BytesMut;

use super::state::{Connection, Pending, Phase};
use crate::id::CallId;
use crate::operation::key::Key;
use crate::protocol::dialect::Dialect;
use crate::protocol::expect::Expect;
use crate::protocol::outbound::Outbound;
use crate::protocol::token::Token;
use crate::time::Instant;

/// While this many bytes wait to be written, no more requests are encoded.
const WRITE_CHUNK: usize = 64 * 1024;

impl Connection {
    /// Takes the connection's buffers, for another connection to use.
    pub fn shrink(&mut self) -> impl Iterator<Item = BytesMut> {
        let input = Some(std::mem::take(&mut self.input)).filter(|input| input.capacity() > 0);
        [input, self.out.shrink()].into_iter().flatten()
    }

    /// Reserves the memory of the next [`push`](Connection::push).
    #[inline]
    pub fn try_reserve(&mut self) -> Result<(), TryReserveError> {
        self.pending.try_reserve(1)
    }

    /// Adds an operation to the end of the FIFO. Returns its number.
    pub fn push(&mut self, call: CallId, expect: Expect, key: Option<&Key>, bulk: u32) -> u32 {
        self.bulk = self.bulk.saturating_add(bulk.into());
        self.alone = false;
        let key = key.filter(|key| key.is_binary() && expect.is_lookup()).cloned().map(Box::new);
        let number = self.head.wrapping_add(self.pending.len() as u32);
        self.pending.push_back(Pending { call: Some(call), key, expect, token: 0, len: 0, bulk, overdue: None });
        number
    }

    /// Encodes requests of the FIFO, until enough bytes wait to be written, or [enough requests](Ahead) are under way.
    /// `encode` appends an operation's request; `spare` returns an unused buffer.
    pub fn encode(
        &mut self,
        mut encode: impl FnMut(Dialect, CallId, Token, &mut Outbound),
        spare: impl FnOnce() -> Option<BytesMut>,
    ) {
        if self.phase != Phase::Ready {
            return;
        }
        self.out.lend(spare);
        while self.out.len() < WRITE_CHUNK && self.ahead.has_room() {
            let Some(pending) = self.pending.get_mut(self.encoded) else { return };
            self.encoded = self.encoded.saturating_add(1);
            if let Some(call) = pending.call {
                pending.token = self.token;
                self.token = self.token.wrapping_add(1);
                let before = self.out.len();
                encode(self.dialect, call, pending.token, &mut self.out);
                pending.len = u32::try_from(self.out.len().saturating_sub(before)).unwrap_or(u32::MAX);
                if pending.len == 0 {
                    // A request that was not sent gets no reply: it must not take the next one.
                    (pending.call, pending.expect) = (None, Expect::Nothing);
                }
                self.ahead.asked(pending.expect, pending.bulk);
            }
        }
    }

    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.out.slices(slices)
    }

    /// Whether there are bytes to write, or requests to encode.
    pub fn has_more(&self) -> bool {
        self.out.len() > 0 || (self.encoded < self.pending.len() && self.ahead.has_room())
    }

    /// `bytes` were written. Calls `sent` for each operation whose request is now written completely.
    pub fn wrote(&mut self, bytes: usize, now: Instant, mut sent: impl FnMut(CallId)) {
        if self.sent == 0 {
            // The head's reply cannot come before its request was written.
            self.wrote_at = now;
        }
        self.out.advance(bytes);
        self.written = self.written.saturating_add(bytes as u64);
        while self.sent < self.encoded {
            let Some(pending) = self.pending.get_mut(self.sent) else { return };
            let end = self.sent_end.saturating_add(pending.len.into());
            if end > self.written {
                return;
            }
            self.sent = self.sent.saturating_add(1);
            self.sent_end = end;
            if !pending.expect.takes_value() {
                // Its value was written.
                self.bulk = self.bulk.saturating_sub(std::mem::take(&mut pending.bulk).into());
            }
            if let Some(call) = pending.call {
                sent(call);
            }
        }
    }
}
