//! What is received, and the greeting.

use bytes::BytesMut;

use super::state::{Connection, Phase};
use crate::limits::READ_CHUNK;
use crate::protocol::greeting::{Greeting, Progress, TriedKeys, Unfit};
use crate::protocol::known::Known;
use crate::time::Instant;

/// Less room than this is not worth a read.
const READ_LEAST: usize = 4 * 1024;

impl Connection {
    /// The socket is connected; asks whether a memcached is behind it, given what is known of that, and tries it with these
    /// keys.
    pub fn greet(&mut self, keys: TriedKeys, known: Known) {
        self.phase = Phase::Greeting;
        let greeting = self.greeting.insert(Box::new(Greeting::new(keys, known)));
        greeting.start(&mut self.out);
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

    /// Reads the answers to the greeting. `learn` is told what is known of the server when that is over.
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
            // The greeting is no request of the FIFO.
            self.sent_end = self.written;
            self.phase = Phase::Ready;
            self.ready_at = Some(now);
        }
        Ok(progress)
    }

    /// What is known of a server by its closing the connection in its greeting, if that is an answer.
    pub fn closed_greeting(&self) -> Option<Known> {
        self.greeting.as_ref()?.closed(&self.input)
    }

    /// What a server has said instead of a line, before its connection ended without one.
    pub fn unfinished_greeting(&self) -> Option<Unfit> {
        self.greeting.as_ref()?.unfinished(&self.input)
    }
}
