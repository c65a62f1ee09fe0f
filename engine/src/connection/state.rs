//! What a connection knows: how far it is, its FIFO, and what has come of the reply that is due.

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

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The socket connects.
    Connecting,
    /// The greeting was sent, and its answers are awaited.
    Greeting,
    /// Operations are sent.
    Ready,
}

/// A request in the FIFO.
#[derive(Debug)]
pub(super) struct Pending {
    /// The operation; `None`: a placeholder.
    pub(super) call: Option<CallId>,
    /// Its key, if that is sent encoded and the reply may name it: as it is, it cannot be read without being known, and
    /// a placeholder's reply has to be read too. That of a placeholder whose reply only its key tells from another, too.
    pub(super) key: Option<Box<Key>>,
    pub(super) expect: Expect,
    pub(super) token: Token,
    /// Bytes of the request; 0 until it is encoded. No value is so large that they do not fit.
    pub(super) len: u32,
    /// Bytes of the value that it sends or that is expected, if they are many.
    pub(super) bulk: u32,
    /// When the reply is so late that the connection is given up: from when the first one that it was for gave up,
    /// whoever waits for it now.
    pub(super) overdue: Option<Instant>,
}

/// How much of a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Nothing,
    Part,
    All,
}

/// A reply that was matched to its request.
#[derive(Debug)]
pub(crate) struct Reply {
    /// Whose it is; `None`: nobody waits for it any more.
    pub call: Option<CallId>,
    pub answer: Answer,
    /// Whether the connection can be used further.
    pub in_sync: bool,
    /// A lease that came with it and has to be handed back.
    pub side_effect: Option<SideEffect>,
    /// The large item that nobody waits for, and its size.
    pub unwanted: Option<(Key, usize)>,
}

/// The line of a `VA` whose value is still coming.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) line: Head<'static>,
    /// The value is skipped: it is larger than allowed, or not for this request.
    pub(super) skipped: bool,
    /// It is skipped as there is no memory for it.
    pub(super) no_memory: bool,
    pub(super) side_effect: Option<SideEffect>,
    /// The item's key, if it is large.
    pub(super) large: Option<Key>,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub server: ServerId,
    /// To which of the server's addresses.
    pub address: usize,
    /// The server is asked elsewhere: nothing is sent any more.
    pub leaving: bool,
    pub phase: Phase,
    /// The socket is connected, and the driver secures the connection.
    pub securing: bool,
    /// Until it is ready.
    pub(super) greeting: Option<Box<Greeting>>,
    /// What the server speaks, once it is ready.
    pub(super) dialect: Dialect,
    /// The server's version, if it is memcached.
    pub(super) version: Option<Version>,
    /// Whether it is in the list of connections that have something new to write.
    pub dirty: bool,
    /// Since when nothing has been pending.
    pub idle_since: Instant,
    /// Something that was sent here is late, and nothing has come since.
    pub late: bool,
    /// When bytes of the reply that was due have come last, and when bytes of its request have gone.
    pub heard_at: Instant,
    pub wrote_at: Instant,
    /// Bytes of the large values that are on their way, or expected.
    pub(super) bulk: u64,
    /// A large value has come that was not expected: what was asked for together with it may be like that. The number of
    /// the first request behind, and the bytes of the value.
    pub(super) swamped: u32,
    pub(super) swamped_by: u64,
    /// When it became ready; `None`: it has not.
    pub(super) ready_at: Option<Instant>,
    /// Replies that have come.
    pub(super) answered: u32,
    pub(super) ahead: Ahead,
    pub(super) input: BytesMut,
    pub(super) spare_values: SpareValues,
    pub(super) decoder: Decoder,
    pub(super) awaited: Option<Awaited>,
    /// A meta request was refused, without its token, and no reply with a token has come since.
    pub(super) doubtful: bool,
    /// The lines of statistics that have come.
    pub(super) listing: BytesMut,
    pub(super) out: Outbound,
    pub(super) pending: VecDeque<Pending>,
    /// The number of the FIFO's head, counted from the connection's first request. It wraps around.
    pub(super) head: u32,
    /// Invariant: `sent <= encoded <= pending.len()`; so many of the FIFO are in `out` or written.
    pub(super) encoded: usize,
    /// So many of the FIFO are written completely.
    pub(super) sent: usize,
    /// Bytes written since the connection was opened, and of these the ones up to the end of the last request that is
    /// written completely, or has left the FIFO.
    pub(super) written: u64,
    pub(super) sent_end: u64,
    pub(super) token: Token,
}

impl Connection {
    /// `token` is the first request's token: a random one tells connections apart.
    pub fn new(server: ServerId, token: Token, spare_values: SpareValues, waste: Waste, now: Instant) -> Self {
        Connection {
            server,
            address: 0,
            leaving: false,
            phase: Phase::Connecting,
            securing: false,
            greeting: None,
            dialect: Dialect::default(),
            version: None,
            dirty: false,
            idle_since: now,
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

    /// What the server speaks, once the connection is ready.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The version of the server, if it is memcached and has said so.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Where in the FIFO the request with this number is; of one that has left it, behind its end.
    pub(super) fn index(&self, number: u32) -> usize {
        number.wrapping_sub(self.head) as usize
    }

    /// How much of the head is written.
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

    /// Whether the reply that has to come next is to a request whose key was sent encoded.
    pub fn is_due_encoded(&self) -> bool {
        self.pending.front().and_then(|pending| pending.key.as_deref()).is_some_and(Key::is_binary)
    }
}
