//! The structure of a connection: its phase, its FIFO, and the state of the next reply.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::ahead::{Ahead, Waste};
use super::lease::SideEffect;
use super::spare_values::SpareValues;
use crate::id::{CallId, ServerId};
use crate::operation::key::Key;
use crate::operation::reply::Answer;
use crate::protocol::decoder::Decoder;
use crate::protocol::dialect::Dialect;
use crate::protocol::expect::Expect;
use crate::protocol::greeting::Greeting;
use crate::protocol::line::Head;
use crate::protocol::outbound::Outbound;
use crate::protocol::token::Token;
use crate::protocol::version::Version;
use crate::time::Instant;

/// The phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The socket is not connected yet.
    Connecting,
    /// The greeting is under way.
    Greeting,
    /// The connection is ready for operations.
    Ready,
}

/// A request in the FIFO.
#[derive(Debug)]
pub(super) struct Pending {
    /// The operation; `None`: a placeholder.
    pub(super) call: Option<CallId>,
    /// Its key, if it was sent encoded and the reply may name it: the raw name cannot be parsed without the key, and a
    /// placeholder's reply is parsed too. Also the key of a placeholder whose reply only the key identifies.
    pub(super) key: Option<Box<Key>>,
    pub(super) expect: Expect,
    pub(super) token: Token,
    /// Bytes of the request; 0 until it is encoded. All values are small enough to fit.
    pub(super) len: u32,
    /// Bytes of the value to send or expected, if it is large.
    pub(super) bulk: u32,
    /// The time when the connection is given up if the reply is missing. It is set when the first operation gives up,
    /// and stays when another one takes the reply over.
    pub(super) overdue: Option<Instant>,
}

/// The written part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Nothing,
    Part,
    All,
}

/// A reply and its request.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The operation; `None`: no operation waits for it any more.
    pub call: Option<CallId>,
    pub answer: Answer,
    /// Whether the connection stays usable.
    pub in_sync: bool,
    /// A lookup's side effect that has to be undone.
    pub side_effect: Option<SideEffect>,
    /// A large item that no operation waits for, and its size.
    pub unwanted: Option<(Key, usize)>,
}

/// The line of a `VA`, until its value has come.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) line: Head<'static>,
    /// The value is skipped: it is larger than allowed, or not for this request.
    pub(super) skipped: bool,
    /// It is skipped because memory is short.
    pub(super) no_memory: bool,
    pub(super) side_effect: Option<SideEffect>,
    /// The item's key, if the item is large.
    pub(super) large: Option<Key>,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) server: ServerId,
    /// The number of the server's address.
    pub(super) address: usize,
    /// The server uses another address: this connection sends nothing more.
    pub(super) leaving: bool,
    pub(super) phase: Phase,
    /// The socket is connected, and the TLS handshake is under way.
    pub(super) securing: bool,
    /// The greeting, until the connection is ready.
    pub(super) greeting: Option<Box<Greeting>>,
    /// The server's dialect, once the connection is ready.
    pub(super) dialect: Dialect,
    /// The server's version, if it is memcached.
    pub(super) version: Option<Version>,
    /// Whether it is in the list of connections with new data to write.
    pub(super) dirty: bool,
    /// The time since which no reply is pending.
    pub(super) idle_since: Instant,
    /// The last request goes alone: see [`is_alone`](Connection::is_alone).
    pub(super) alone: bool,
    /// A reply is late, and no bytes have come since.
    pub(super) late: bool,
    /// The time when bytes of the next reply last came, and when bytes of its request were last written.
    pub(super) heard_at: Instant,
    pub(super) wrote_at: Instant,
    /// Bytes of large values that are on their way, or expected.
    pub(super) bulk: u64,
    /// An unexpected large value has come, and the requests sent with it may bring more of them. The number of the
    /// first request after these, and the bytes of the value.
    pub(super) swamped: u32,
    pub(super) swamped_by: u64,
    /// The time when it became ready; `None`: it is not ready.
    pub(super) ready_at: Option<Instant>,
    /// The number of replies so far.
    pub(super) answered: u32,
    pub(super) ahead: Ahead,
    pub(super) input: BytesMut,
    pub(super) spare_values: SpareValues,
    pub(super) decoder: Decoder,
    pub(super) awaited: Option<Awaited>,
    /// A meta request was refused without its token, and no reply with a token has come since.
    pub(super) doubtful: bool,
    /// The lines of statistics so far.
    pub(super) listing: BytesMut,
    pub(super) out: Outbound,
    pub(super) pending: VecDeque<Pending>,
    /// The number of the FIFO's head, counted from the connection's first request. It wraps around.
    pub(super) head: u32,
    /// Invariant: `sent <= encoded <= pending.len()`. This many of the FIFO are in `out` or written.
    pub(super) encoded: usize,
    /// This many of the FIFO are written completely.
    pub(super) sent: usize,
    /// Bytes written since the connection was opened, and the part of them up to the end of the last request that is
    /// written completely, or has left the FIFO.
    pub(super) written: u64,
    pub(super) sent_end: u64,
    pub(super) token: Token,
}

impl Connection {
    /// `token` is the first request's token. It is random, so that it differs from other connections' tokens.
    pub fn new(
        server: ServerId,
        address: usize,
        token: Token,
        spare_values: SpareValues,
        waste: Waste,
        now: Instant,
    ) -> Self {
        Connection {
            server,
            address,
            leaving: false,
            phase: Phase::Connecting,
            securing: false,
            greeting: None,
            dialect: Dialect::default(),
            version: None,
            dirty: false,
            idle_since: now,
            alone: false,
            late: false,
            heard_at: now,
            wrote_at: now,
            bulk: 0,
            swamped: 0,
            swamped_by: 0,
            ready_at: None,
            answered: 0,
            ahead: Ahead::new(waste),
            input: BytesMut::new(),
            spare_values,
            decoder: Decoder::default(),
            awaited: None,
            doubtful: false,
            listing: BytesMut::new(),
            out: Outbound::default(),
            pending: VecDeque::new(),
            head: 0,
            encoded: 0,
            sent: 0,
            written: 0,
            sent_end: 0,
            token,
        }
    }

    /// Whose connection it is.
    #[inline]
    pub fn server(&self) -> ServerId {
        self.server
    }

    /// The number of the server's address.
    pub fn address(&self) -> usize {
        self.address
    }

    /// The server's addresses have other numbers.
    pub fn set_address(&mut self, address: usize) {
        self.address = address;
    }

    /// How far it is.
    #[inline]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The socket is connected, and the TLS handshake begins.
    pub fn set_securing(&mut self) {
        self.securing = true;
    }

    /// Whether the TLS handshake is under way.
    pub fn is_securing(&self) -> bool {
        self.securing
    }

    /// The server uses another address: this connection sends nothing more.
    pub fn set_leaving(&mut self) {
        self.leaving = true;
    }

    /// Whether the server uses another address.
    #[inline]
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// It has new data to write. Returns whether it had none before.
    #[inline]
    pub fn set_dirty(&mut self) -> bool {
        !std::mem::replace(&mut self.dirty, true)
    }

    /// Its new data is about to be written.
    #[inline]
    pub fn set_clean(&mut self) {
        self.dirty = false;
    }

    /// Whether it has new data to write.
    #[inline]
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// No reply is pending from now on.
    #[inline]
    pub fn set_idle(&mut self, now: Instant) {
        self.idle_since = now;
    }

    /// The time since which no reply is pending.
    pub fn idle_since(&self) -> Instant {
        self.idle_since
    }

    /// An operation that was submitted at `since` is late. The connection is late if no bytes have come since; returns
    /// whether it is.
    pub fn note_late(&mut self, since: Instant) -> bool {
        self.late = self.heard_at <= since;
        self.late
    }

    /// Whether a reply is late, and no bytes have come since.
    #[inline]
    pub fn is_late(&self) -> bool {
        self.late
    }

    /// The server's dialect, once the connection is ready.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The server's version, if it is memcached and has given it.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// The index in the FIFO of the request with this number. If the request has left it, the index is past the end.
    pub(super) fn index(&self, number: u32) -> usize {
        number.wrapping_sub(self.head) as usize
    }

    /// The written part of the head.
    pub(super) fn sent(&self, head: &Pending) -> Sent {
        match () {
            () if head.len == 0 => Sent::Nothing,
            () if self.sent > 0 => Sent::All,
            () if self.sent_end < self.written => Sent::Part,
            () => Sent::Nothing,
        }
    }

    /// Drops requests from the head that were given up before they were encoded.
    pub(super) fn drop_unsent(&mut self) {
        while self.pending.front().is_some_and(|p| p.expect == Expect::Nothing) {
            self.pop();
        }
    }

    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<Pending> {
        let popped = self.pending.pop_front()?;
        self.head = self.head.wrapping_add(1);
        self.bulk = self.bulk.saturating_sub(popped.bulk.into());
        if popped.len > 0 {
            self.ahead.answered(popped.expect, popped.bulk, popped.call.is_some());
        }
        self.encoded = self.encoded.saturating_sub(1);
        match self.sent.checked_sub(1) {
            Some(sent) => self.sent = sent,
            None => self.sent_end = self.sent_end.saturating_add(popped.len.into()),
        }
        Some(popped)
    }

    /// Whether the next reply is to a request with an encoded key.
    pub fn is_due_encoded(&self) -> bool {
        self.pending.front().and_then(|pending| pending.key.as_deref()).is_some_and(Key::is_binary)
    }
}
