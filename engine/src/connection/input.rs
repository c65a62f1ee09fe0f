//! Reading, and the greeting.

use bytes::BytesMut;

use super::state::{Connection, Phase};
use crate::config::Credentials;
use crate::limits::READ_CHUNK;
use crate::protocol::greeting::{Greeting, Progress, TriedKeys};
use crate::protocol::known::Known;
use crate::protocol::unfit::Unfit;
use crate::time::Instant;

/// With less room than this, a read is not worthwhile.
const READ_LEAST: usize = 4 * 1024;

impl Connection {
    /// The socket is connected. Begins the greeting, with what is known of the server, these keys for the trial, and user
    /// and password for a server that asks for them.
    pub fn greet(&mut self, keys: TriedKeys, credentials: Option<Credentials>, known: Known) {
        self.phase = Phase::Greeting;
        let greeting = self.greeting.insert(Box::new(Greeting::new(keys, credentials, known)));
        greeting.start(&mut self.out);
    }

    /// The buffer to read into, with room for a chunk or for the rest of a large value. `spare` returns an unused
    /// buffer.
    pub fn read_buffer(&mut self, spare: impl FnOnce() -> Option<BytesMut>) -> &mut BytesMut {
        if self.input.capacity() == 0 {
            self.input = spare().unwrap_or_default();
        }
        let missing = self.decoder.missing(self.input.len());
        let room = self.input.capacity().saturating_sub(self.input.len());
        if missing > room {
            // The memory of a large value was allocated when its line was read.
            self.make_room(missing);
        } else if missing == 0 && room < READ_LEAST {
            self.make_room(READ_CHUNK);
        } else if self.input.is_empty() {
            // If the values that were handed out are gone by now, their memory is used again.
            let _ = self.input.try_reclaim(READ_CHUNK);
        }
        &mut self.input
    }

    /// Makes room: in the present memory, if the values that were handed out are gone, otherwise in new memory of just
    /// the right size. `reserve` would take twice the present size.
    fn make_room(&mut self, bytes: usize) {
        if !self.input.try_reclaim(bytes) {
            let mut larger = BytesMut::with_capacity(self.input.len().saturating_add(bytes));
            larger.extend_from_slice(&self.input);
            self.input = larger;
        }
    }

    /// Reads the answers to the greeting. At its end, it calls `learn` with what is known of the server.
    pub fn read_greeting(&mut self, learn: impl FnOnce(Known), now: Instant) -> Result<Progress, Unfit> {
        let Some(greeting) = &mut self.greeting else {
            // Nothing was asked yet.
            return Err(Unfit::foreign(&self.input));
        };
        let progress = greeting.read(&mut self.decoder, &mut self.input, &mut self.out)?;
        if matches!(progress, Progress::Done | Progress::Again) {
            learn(greeting.known().clone());
        }
        if progress == Progress::Done {
            self.dialect = greeting.known().dialect();
            self.version = greeting.version();
            self.greeting = None;
            self.input.clear();
            // The greeting has no place in the FIFO.
            self.sent_end = self.written;
            self.phase = Phase::Ready;
            self.ready_at = Some(now);
        }
        Ok(progress)
    }

    /// What a close during the greeting says about the server; `None`: nothing.
    pub fn closed_greeting(&self) -> Option<Known> {
        self.greeting.as_ref()?.closed(&self.input)
    }

    /// What the answer that is missing or unfinished shows, if the connection ended during the greeting. `is_closed`: the
    /// server has ended it.
    pub fn unfinished_greeting(&self, is_closed: bool) -> Option<Unfit> {
        self.greeting.as_ref()?.unfinished(&self.input, is_closed)
    }
}
