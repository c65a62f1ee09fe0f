//! The posted event: it handles everything that happened in a turn of the event loop, in steps.

#![forbid(unsafe_code)]

use memcache_engine::{Answer, Client, Instant, Outcome, Output};

use super::{Driver, State, CALLS_PER_TURN};
use crate::nginx::clock;

/// How many rounds of writing, opening and closing in one turn of the event loop: opening a connection may give
/// something to write, and an address that fails the next one to try.
const ROUNDS_PER_TURN: usize = 16;

impl Driver {
    /// The handler of the posted event.
    pub(super) fn on_turn(&self) {
        if self.state.get() == State::Ended {
            return;
        }
        self.look_at_list();
        if self.calls_left.get() == 0 {
            self.calls_left.set(CALLS_PER_TURN);
            self.calls_since.set(clock::nginx_msec());
        }
        let now = self.deliver();
        self.notice_exit(now);
        if self.with(Client::put_off_writes) == Some(true) {
            self.turn.post_next();
        } else {
            self.pump(now);
        }
        self.finish_turn(now);
        self.sum_up(now);
        self.is_current.set(false);
    }

    /// Calls the handlers of the operations that are complete by now, within what is left for this turn. Those that
    /// become complete meanwhile wait. Returns the time.
    fn deliver(&self) -> Instant {
        let complete = self.with(|client| client.completions()).unwrap_or(0);
        if complete == 0 {
            return self.now();
        }
        let begun = clock::now();
        for _ in 0..complete {
            let left = self.calls_left.get();
            if left == 0 {
                break;
            }
            let Ok(mut client) = self.client.try_borrow_mut() else { break };
            let Some(done) = client.poll_completion() else { break };
            // Nothing is borrowed: the handler may submit, cancel, and end its request.
            drop(client);
            self.calls_left.set(left.saturating_sub(answers(&done.answer)));
            self.note_answer(done.server, &done.answer);
            self.debug_answer(done.call, done.server, &done.answer);
            done.context.run(done.answer, done.stand_in);
        }
        let now = self.read_clock();
        self.longest.set(self.longest.get().max(now.since(begun)));
        now
    }

    /// Writes, opens and closes connections, until there is nothing left to do.
    pub(super) fn pump(&self, now: Instant) {
        for _ in 0..ROUNDS_PER_TURN {
            let flushed = self.flush(now);
            let carried_out = self.carry_out(now);
            if !flushed && !carried_out {
                return;
            }
        }
        self.count_cut();
        self.turn.post_next();
    }

    /// The rest of the work has to wait until other events were handled.
    pub(super) fn count_cut(&self) {
        self.cut.set(self.cut.get().wrapping_add(1));
    }

    /// One write for each connection that has something new.
    fn flush(&self, now: Instant) -> bool {
        let mut any = false;
        while let Some(conn) = self.with(Client::poll_dirty).flatten() {
            any = true;
            let Some(connection) = self.connection(conn) else { continue };
            match self.write(conn, &connection, now) {
                Ok(()) => connection.set_idle(self.with(|client| client.is_idle(conn)).unwrap_or(false)),
                Err(loss) => self.lose(conn, loss, now),
            }
        }
        any
    }

    /// Executes the client's outputs.
    pub(super) fn carry_out(&self, now: Instant) -> bool {
        let mut any = false;
        while let Some(output) = self.with(Client::poll_output).flatten() {
            any = true;
            match output {
                Output::Open { conn, server, address } => self.open(conn, server, address, now),
                Output::Close { conn } => {
                    self.debug_connection(conn, || "close".into());
                    drop(self.take_connection(conn));
                }
                Output::Event(event) => self.report(&event, now),
                Output::Gone { server } => self.forget(server),
            }
        }
        any
    }

    fn finish_turn(&self, now: Instant) {
        let Ok(mut client) = self.client.try_borrow_mut() else { return };
        let complete = client.completions() > 0;
        if self.calls_left.get() == 0 {
            // Handlers have used their share of this turn; they may have posted the event themselves.
            self.turn.put_off();
            if complete && self.calls_since.get() == clock::nginx_msec() {
                self.count_cut();
            }
        } else if complete {
            // Connections failed just now: other events come first.
            self.turn.post_next();
        }
        client.publish(now);
        self.arm(&mut client, now);
    }
}

/// How many answers an answer has: one for each key of a batch.
fn answers(answer: &Answer) -> usize {
    match answer {
        Ok(Outcome::Many(parts)) => parts.len(),
        _ => 1,
    }
}
