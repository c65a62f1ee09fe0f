//! Requests in the FIFO, and their bytes.

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

/// No more requests are encoded while so many bytes wait to be written.
const WRITE_CHUNK: usize = 64 * 1024;

impl Connection {
    /// Gives memory back: buffers for another connection to use.
    pub fn shrink(&mut self) -> impl Iterator<Item = BytesMut> {
        let input = Some(std::mem::take(&mut self.input)).filter(|input| input.capacity() > 0);
        [input, self.out.shrink()].into_iter().flatten()
    }

    /// Makes sure that the next [`push`](Connection::push) needs no more memory.
    #[inline]
    pub fn try_reserve(&mut self) -> Result<(), TryReserveError> {
        self.pending.try_reserve(1)
    }

    /// Puts an operation at the end of the FIFO and returns its number there.
    pub fn push(&mut self, call: CallId, expect: Expect, key: Option<&Key>, bulk: u32) -> u32 {
        self.bulk = self.bulk.saturating_add(bulk.into());
        let key = key.filter(|key| key.is_binary() && expect.is_lookup()).cloned().map(Box::new);
        let number = self.head.wrapping_add(self.pending.len() as u32);
        self.pending.push_back(Pending { call: Some(call), key, expect, token: 0, len: 0, bulk, overdue: None });
        number
    }

    /// Encodes what is in the FIFO, until enough waits to be written, or [enough](Ahead) is under way. `encode` appends
    /// the operation's request; `spare` is asked for an unused buffer.
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
                    // What was not sent must not be waited for: the next reply would be taken for its own.
                    (pending.call, pending.expect) = (None, Expect::Nothing);
                }
                self.ahead.asked(pending.expect, pending.bulk);
            }
        }
    }

    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.out.slices(slices)
    }

    /// Whether there is something to write, or something that may be encoded.
    pub fn has_more(&self) -> bool {
        self.out.len() > 0 || (self.encoded < self.pending.len() && self.ahead.has_room())
    }

    /// `bytes` were written. `sent` is told of each operation that is thereby written completely.
    pub fn wrote(&mut self, bytes: usize, now: Instant, mut sent: impl FnMut(CallId)) {
        if self.sent == 0 {
            // What is due cannot be answered before it has been sent.
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
                // It has gone.
                self.bulk = self.bulk.saturating_sub(std::mem::take(&mut pending.bulk).into());
            }
            if let Some(call) = pending.call {
                sent(call);
            }
        }
    }
}
