//! One connection: its greeting, what it has to write, and the replies it waits for.
//!
//! Replies come in the order of the requests. Every request that may reach the server has its place in a FIFO until
//! its reply has been taken, whoever still waits for it: an operation that times out or is cancelled leaves its place
//! behind as a placeholder, and the reply that comes late is read and dropped there.

use std::collections::{TryReserveError, VecDeque};
use std::io::IoSlice;

use bytes::{Bytes, BytesMut};

use crate::id::{CallId, ServerId};
use crate::operation::key::Key;
use crate::operation::reply::Answer;
use crate::protocol::meta::decode::{Decoder, Head};
use crate::protocol::meta::token::Token;
use crate::protocol::outbound::Outbound;
use crate::protocol::version::Version;
use crate::time::Instant;

mod ahead;
mod due;
mod expect;
mod greeting;
mod large;
mod lease;
mod load;
mod orphan;
mod replies;

use ahead::Ahead;
pub(crate) use ahead::Waste;
pub(crate) use expect::Expect;
use greeting::Greeting;
pub(crate) use greeting::Progress;
pub use greeting::Unfit;
pub(crate) use large::Large;
pub(crate) use lease::{Stray, Undo};
pub(crate) use orphan::Orphan;

/// Room for so many bytes is made for a read.
pub(crate) const READ_CHUNK: usize = 16 * 1024;
/// Less room than this is not worth a read.
const READ_LEAST: usize = 4 * 1024;
/// No more requests are encoded while so many bytes wait to be written.
const WRITE_CHUNK: usize = 64 * 1024;
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
pub(crate) struct Pending {
    /// The operation; `None`: a placeholder.
    call: Option<CallId>,
    /// Its key, if that is sent encoded and the reply may name it: as it is, it cannot be read without being known, and
    /// a placeholder's reply has to be read too.
    key: Option<Box<Key>>,
    expect: Expect,
    token: Token,
    /// Bytes of the request; 0 until it is encoded. No value is so large that they do not fit.
    len: u32,
    /// Bytes of the value that it sends or that is expected, if they are many.
    bulk: u32,
    /// When the reply is so late that the connection is given up: from when the first one that it was for gave up,
    /// whoever waits for it now.
    overdue: Option<Instant>,
}

/// How much of a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
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
    pub stray: Option<Stray>,
    /// The large item that came for nobody, and its size.
    pub unwanted: Option<(Key, usize)>,
}

/// The line of a `VA` whose value is still coming.
#[derive(Debug)]
struct Awaited {
    line: Head<'static>,
    /// The value is skipped: it is larger than allowed, or not for this request.
    skipped: bool,
    /// It is skipped as there is no memory for it.
    no_memory: bool,
    stray: Option<Stray>,
    /// The item's key, if it is large.
    large: Option<Key>,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub server: ServerId,
    /// To which of the server's addresses.
    pub address: usize,
    /// The server is asked elsewhere: nothing is sent any more.
    pub leaving: bool,
    pub phase: Phase,
    /// Until it is ready.
    greeting: Option<Box<Greeting>>,
    /// That of the server, if it is memcached.
    version: Option<Version>,
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
    bulk: u64,
    /// A large value has come that was not expected: what was asked for together with it may be like that. The number of
    /// the first request behind.
    swamped: u32,
    /// When it became ready; `None`: it has not.
    ready_at: Option<Instant>,
    /// Replies that have come.
    answered: u32,
    ahead: Ahead,
    input: BytesMut,
    large: Large,
    decoder: Decoder,
    awaited: Option<Awaited>,
    /// A meta request was refused, without its token, and no reply with a token has come since.
    doubtful: bool,
    /// The lines of statistics that have come.
    listing: BytesMut,
    out: Outbound,
    pending: VecDeque<Pending>,
    /// The number of the FIFO's head, counted from the connection's first request. It wraps around.
    head: u32,
    /// Invariant: `sent <= encoded <= pending.len()`; so many of the FIFO are in `out` or written.
    encoded: usize,
    /// So many of the FIFO are written completely.
    sent: usize,
    /// Bytes written since the connection was opened, and of these the ones up to the end of the last request that is
    /// written completely, or has left the FIFO.
    written: u64,
    sent_end: u64,
    token: Token,
}

impl Connection {
    /// `token` is the first request's token: a random one tells connections apart.
    pub fn new(server: ServerId, token: Token, large: Large, waste: Waste, now: Instant) -> Self {
        Connection {
            server,
            address: 0,
            leaving: false,
            phase: Phase::Connecting,
            greeting: None,
            version: None,
            dirty: false,
            idle_since: now,
            late: false,
            heard_at: now,
            wrote_at: now,
            bulk: 0,
            swamped: 0,
            ready_at: None,
            answered: 0,
            ahead: Ahead::new(waste),
            input: BytesMut::new(),
            large,
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

    /// The socket is connected; asks whether a memcached is behind it, and tries it with this key.
    pub fn greet(&mut self, key: Key) {
        self.phase = Phase::Greeting;
        let greeting = self.greeting.insert(Box::new(Greeting::new(key)));
        greeting.start(&mut self.out);
    }

    /// The version of the server, if it is memcached and has said so.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Gives memory back: buffers for another connection to use.
    pub fn shrink(&mut self) -> impl Iterator<Item = BytesMut> {
        let input = Some(std::mem::take(&mut self.input)).filter(|input| input.capacity() > 0);
        [input, self.out.shrink()].into_iter().flatten()
    }

    // Writing

    /// Makes sure that the next [`push`](Connection::push) needs no more memory.
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
        mut encode: impl FnMut(CallId, Token, &mut Outbound),
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
                encode(call, pending.token, &mut self.out);
                pending.len = u32::try_from(self.out.len().saturating_sub(before)).unwrap_or(u32::MAX);
                if pending.len == 0 {
                    // What was not sent must not be waited for: the next reply would be taken for its own.
                    (pending.call, pending.expect) = (None, Expect::Nothing);
                }
                self.ahead.asked(pending);
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

    /// Where in the FIFO the request with this number is; of one that has left it, behind its end.
    fn index(&self, number: u32) -> usize {
        number.wrapping_sub(self.head) as usize
    }

    /// How much of the head is written.
    fn sent(&self, head: &Pending) -> Sent {
        match () {
            () if head.len == 0 => Sent::Nothing,
            () if self.sent > 0 => Sent::All,
            () if self.sent_end < self.written => Sent::Part,
            () => Sent::Nothing,
        }
    }

    // Reading

    /// Whether the reply that has to come next is to a request whose key was sent encoded.
    pub fn is_due_encoded(&self) -> bool {
        self.pending.front().is_some_and(|pending| pending.key.is_some())
    }

    /// The buffer to read into, with room for a chunk or for what is missing of a large value. `spare` is asked for an
    /// unused buffer.
    pub fn read_buffer(&mut self, spare: impl FnOnce() -> Option<BytesMut>) -> &mut BytesMut {
        if self.input.capacity() == 0 {
            self.input = spare().unwrap_or_default();
        }
        let missing = self.decoder.missing(self.input.len());
        let room = self.input.capacity().saturating_sub(self.input.len());
        if missing > room {
            // A large value has got its memory when its line was read.
            self.make_room(missing);
        } else if missing == 0 && room < READ_LEAST {
            self.make_room(READ_CHUNK);
        } else if self.input.is_empty() {
            // The slices that were handed out may be gone by now, and with them the reason not to start over.
            let _ = self.input.try_reclaim(READ_CHUNK);
        }
        &mut self.input
    }

    /// Starts over in the memory that there is, where the slices that were handed out are gone by now; otherwise in new
    /// memory, just enough of it: `reserve` takes twice what there was.
    fn make_room(&mut self, bytes: usize) {
        if !self.input.try_reclaim(bytes) {
            let mut larger = BytesMut::with_capacity(self.input.len().saturating_add(bytes));
            larger.extend_from_slice(&self.input);
            self.input = larger;
        }
    }

    /// Reads the answers to the greeting. `passed` is the version text that the server has passed with before, or
    /// empty; `pass` is told the one that it passes with now.
    pub fn read_greeting(&mut self, passed: &[u8], pass: impl FnOnce(&Bytes), now: Instant) -> Result<Progress, Unfit> {
        let Some(greeting) = &mut self.greeting else {
            // Nothing was asked yet.
            return Err(Unfit::foreign(&self.input));
        };
        let progress = greeting.read(&mut self.decoder, &mut self.input, &mut self.out, passed)?;
        if progress == Progress::Done {
            let (text, version) = greeting.version();
            pass(text);
            self.version = version;
            self.greeting = None;
            self.input.clear();
            // The greeting is no request of the FIFO.
            self.sent_end = self.written;
            self.phase = Phase::Ready;
            self.ready_at = Some(now);
        }
        Ok(progress)
    }

    /// What a server has said instead of a line, before its connection ended without one.
    pub fn unfinished_greeting(&self) -> Option<Unfit> {
        self.greeting.as_ref()?.unfinished(&self.input)
    }

    /// Drops requests from the head that were given up before they were encoded.
    fn settle(&mut self) {
        while self.pending.front().is_some_and(|p| p.expect == Expect::Nothing) {
            self.pop();
        }
    }

    fn pop(&mut self) -> Option<Pending> {
        let popped = self.pending.pop_front()?;
        self.head = self.head.wrapping_add(1);
        self.bulk = self.bulk.saturating_sub(popped.bulk.into());
        self.ahead.answered(&popped);
        self.encoded = self.encoded.saturating_sub(1);
        match self.sent.checked_sub(1) {
            Some(sent) => self.sent = sent,
            None => self.sent_end = self.sent_end.saturating_add(popped.len.into()),
        }
        Some(popped)
    }
}
