//! What has to hold.

use memcache_engine::{Completion, Error, Outcome, State, Subset, Switch, PIPELINE_BOUND};

use super::World;

impl World {
    /// An operation has ended: once, and with what was said to its key.
    pub fn completed(&mut self, done: Completion<u64>) {
        let Completion { call: id, context: number, answer, .. } = done;
        let call = self.calls[number as usize].as_mut().expect("an operation that was accepted");
        assert_eq!(call.id, id, "operation {number}");
        assert!(!std::mem::replace(&mut call.ended, true), "operation {number} has ended before");
        self.open -= 1;
        match &answer {
            Err(Error::Timeout { .. }) => assert!(self.now >= call.deadline, "timed out before its deadline"),
            Ok(Outcome::Many(parts)) => {
                assert_eq!(parts.len(), call.parts.len(), "an answer for each key");
                let answers = parts.iter().map(|part| &part.answer);
                for (answer, key) in answers.zip(&call.parts).filter(|(answer, _)| answer.is_ok()) {
                    let said = self.said.get(key).is_some_and(|said| said.contains(answer));
                    assert!(said || self.vague, "a part of {number} was answered {answer:?}");
                }
            }
            Ok(_) | Err(Error::Server(_) | Error::Client(_) | Error::TooLarge { .. }) if !self.vague => {
                let said = self.said.get(&call.key).map(Vec::as_slice).unwrap_or_default();
                assert!(said.contains(&answer), "operation {number} was answered {said:?}, not {answer:?}");
            }
            _ => {}
        }
        assert_eq!(self.client.cancel(id, self.now), None, "it was handed out");
    }

    /// What holds between any two commands.
    pub fn check(&mut self) {
        let config = self.client.config();
        let bound = PIPELINE_BOUND * config.pipeline;
        // Those of servers that have left the list are added.
        let lists = if self.lists { 6 } else { 1 };
        for &id in self.client.servers_of(Subset::ALL) {
            let view = self.client.server(id).expect("a server");
            let max = view.config.pool.max() as usize;
            let links = self.links.values().filter(|link| link.server == id).count();
            assert_eq!(
                view.open + view.connecting + view.elsewhere,
                links,
                "the client and its driver disagree about connections"
            );
            assert_eq!(view.idle + view.busy, view.open);
            // What follows a write of its key may go to a connection that is full, out of the queue, too.
            let most = (bound + config.queue) * max + config.queue + bound * max;
            assert!(view.pending <= most, "{} replies are awaited", view.pending);
            // Those of connections that were lost are added to those that were waiting.
            assert!(view.queued <= lists * (config.queue + most), "{} operations wait", view.queued);
            let drains = view.switch == Switch::Drain;
            assert!(
                view.state == State::Live || drains || view.queued == 0,
                "operations wait for a server that is down"
            );
            assert!(
                view.switch == Switch::Up || view.idle == 0,
                "a connection stays open to a server that is out of use"
            );
            assert!(
                view.idle == 0 || view.queued == 0 || view.elsewhere > 0,
                "operations wait, and a connection is idle"
            );
            assert!(view.idle == 0 || !self.draining, "a connection that nobody needs stays open");
        }
        self.client.check(self.now).expect("its numbers agree");
        let (pending, open) = (self.client.pending(), self.open);
        assert!((open..=open + self.leases + self.parts()).contains(&pending), "{pending} are pending, not {open}");
        if self.client.completions() == 0 {
            let deadline = self.strict().map(|call| call.deadline).min();
            let next = self.client.next_timeout();
            assert!(deadline.is_none_or(|at| next.is_some_and(|next| next <= at)), "a deadline is slept through");
        }
    }
}
