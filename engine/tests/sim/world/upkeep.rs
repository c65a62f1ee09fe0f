//! What holds between turns, and what befalls all workers.

use std::collections::HashSet;
use std::time::Duration;

use memcache_engine::{ConnId, Instant, Loss, State, Switch, PIPELINE_BOUND};

use super::World;
use crate::habits::Habits;
use crate::network::{Stage, Weather};
use crate::server::Mode;

impl World {
    /// What holds between any two turns.
    pub(super) fn check(&mut self) {
        let mut connections = 0;
        for id in 0..self.servers.len() {
            let Some(view) = self.worker.client.server(id) else {
                // It has left the list, and what was sent is answered.
                connections += self.worker.links.values().filter(|link| link.server == id).count();
                continue;
            };
            let config = self.worker.client.config();
            let max = view.config.pool.max() as usize;
            let bound = PIPELINE_BOUND * config.pipeline;
            assert!(view.open + view.connecting <= max, "server {id} has more connections than `max`");
            // What follows a write of its key may go to a connection that is full, out of the queue, too.
            let most = bound + 2 * config.queue;
            assert!(view.pending <= most * view.open, "{} replies are awaited", view.pending);
            // Those of connections that were lost are added to those that were waiting. Those who share an exchange that is
            // late have another one, while it goes on.
            let exchanges = if config.coalesce { 2 } else { 1 };
            // Those of servers that have left the list are added, too.
            let lists = if self.ledger.moves { self.servers.len() } else { 1 };
            assert!(view.queued <= lists * exchanges * (config.queue + most * max), "{} operations wait", view.queued);
            let drains = view.switch == Switch::Drain;
            assert!(
                view.state == State::Live || drains || view.queued == 0,
                "operations wait for a server that is down"
            );
            if view.switch != Switch::Up {
                assert_eq!(view.state, State::Disabled, "server {id} is in use, which the operator has taken out");
                assert!(view.idle == 0 || view.queued > 0, "a connection stays open to a server that is out of use");
                assert!(view.connecting == 0 || drains, "a connection is opened to a server that is out of use");
            }
            let (shared, changed) = &self.switches[id];
            let had_time = changed.after(Duration::from_secs(1)) < self.now;
            assert!(view.switch == shared.get() || !had_time || self.draining, "the operator's will is not noticed");
            // A module with many operations leaves one to others.
            let spared = usize::from(view.busy > 0 && self.worker.client.modules().count() > 1);
            let waits = view.idle > spared && view.queued > 0;
            assert!(!waits || view.elsewhere > 0, "{} operations wait, and a connection is idle", view.queued);
            assert_eq!(view.idle + view.busy, view.open);
            assert!(view.idle == 0 || !self.draining, "a connection that nobody needs stays open");
            connections += view.open + view.connecting + view.elsewhere;
        }
        let (timeout, now) = (self.worker.client.config().timeout, self.now);
        let is_late = |since: Instant| since.after(timeout) < now;
        let late = self.worker.links.values().filter_map(|link| link.moved).any(is_late);
        assert!(!late, "a connection to a former address stays open");
        assert_eq!(connections, self.worker.links.len(), "the client and its driver disagree about connections");
        // A batch has parts.
        let outstanding = self.ledger.pending_of(self.at);
        assert!(self.worker.client.pending() >= outstanding, "operations were lost");
        // That looks at everything.
        if self.turns % 16 == 0 || self.worker.client.pending() < 16 {
            self.worker.client.check(self.now).unwrap_or_else(|wrong| panic!("{wrong}"));
        }
        if self.completions() == 0 && self.at + 1 == self.workers.len() {
            assert!(self.ledger.deadline().is_none_or(|at| at >= self.now), "a deadline has passed");
        }
    }

    /// The worker begins to exit.
    pub fn drain(&mut self) {
        self.draining = true;
        self.each(|world| {
            world.worker.client.drain(world.now);
            world.obey();
        });
    }

    /// All faults are over.
    pub fn heal(&mut self) {
        for server in &mut self.servers {
            server.mode = Mode::Memcached;
            server.accept();
            server.stalled = false;
            server.weather = Weather::fair();
            server.dead_addresses = 0;
            server.item_limit = usize::MAX;
        }
        (0..self.switches.len()).for_each(|id| self.set_switch(id, Switch::Up));
        self.each(|world| {
            for link in world.worker.links.values_mut() {
                link.session.mishap = None;
                if std::mem::take(&mut link.lost) {
                    link.hang_up(Loss::Error, true, world.now);
                }
            }
            for id in 0..world.servers.len() {
                world.worker.client.set_enabled(id, true, world.now);
                world.find(id);
            }
            world.obey();
        });
        self.habits = Habits::calm();
    }

    /// A whole server stops: its connections end.
    pub fn kill(&mut self, id: usize, loss: Loss, abruptly: bool) {
        self.each(|world| {
            for link in world.worker.links.values_mut().filter(|link| link.server == id && link.stage == Stage::Open) {
                link.hang_up(loss, abruptly, world.now);
            }
        });
        self.servers[id].forget(&mut self.ledger, self.now);
    }

    /// The operator changes what he wants of a server.
    pub fn set_switch(&mut self, id: usize, switch: Switch) {
        if let Some((shared, changed)) = self.switches.get_mut(id) {
            if shared.set(switch, self.now, [0; 16]) != switch {
                *changed = self.now;
            }
        }
    }

    /// The connections to a server, without those that are being connected.
    pub fn conns(&self, id: usize) -> Vec<ConnId> {
        let open = self.worker.links.iter().filter(|(_, link)| link.server == id && link.stage == Stage::Open);
        open.map(|(&conn, _)| conn).collect()
    }

    /// The servers that the client asks nothing: they are down, or out of use.
    pub fn down(&self) -> HashSet<usize> {
        let down = |&id: &usize| self.worker.client.server(id).is_some_and(|view| view.state != State::Live);
        (0..self.servers.len()).filter(down).collect()
    }
}
