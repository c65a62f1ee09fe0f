//! Invariants between any two calls, for the simulation.

use super::batch;
use super::call::{Call, Owner, Stage};
use super::state::Client;
use crate::limits::MAX_GATHERED;
use crate::operation::work::Work;
use crate::time::Instant;

impl<T> Client<T> {
    /// Whether the client's counts agree with each other; `Err` says which do not. It checks everything.
    #[doc(hidden)]
    pub fn check(&self, now: Instant) -> Result<(), String> {
        let at = |stage: &dyn Fn(Stage) -> bool| self.calls.values().filter(|call| stage(call.stage)).count();
        for (id, server) in self.servers.iter() {
            let waits =
                |call| self.calls.get(call).is_some_and(|call| call.stage == Stage::Queued && call.server == id);
            let held = self.calls.values().filter(|call| call.server == id && call.hold.is_some()).count();
            let alone = |call| self.calls.get(call).and_then(|call| call.work()).is_some_and(Work::is_alone);
            let spares = |call| self.calls.get(call).is_some_and(|call| self.modules.is_heavy(call.module));
            let asks = |call| (self.bulk_of(call), alone(call), spares(call));
            server.check(&self.network.connections, waits, asks, held)?;
        }
        let open = self.modules.open().fold(0_usize, usize::saturating_add);
        let is_open = |call: &&Call<T>| {
            !matches!(call.stage, Stage::Done | Stage::Gathering) && !matches!(call.owner, Owner::Internal)
        };
        let asked = self.calls.values().filter(is_open).count();
        if open != asked {
            return Err(format!("{asked} operations have not ended, {open} are counted for modules"));
        }
        let waiting = at(&|stage| stage == Stage::Waiting);
        if waiting > self.config.queue || self.lease_waits.count() > self.config.queue {
            return Err(format!(
                "{waiting} leases wait, {} are counted, {} may",
                self.lease_waits.count(),
                self.config.queue
            ));
        }
        let gathered = self.calls.values().map(|call| batch::gathered(&call.task)).sum::<usize>();
        if gathered != self.gathered.bytes() || (gathered > MAX_GATHERED && gathered > self.config.max_value) {
            return Err(format!("batches hold {gathered} bytes, {} are counted", self.gathered.bytes()));
        }
        if let Some(wrong) = self.network.connections.values().find_map(|connection| connection.check_ahead().err()) {
            return Err(wrong);
        }
        if self.network.connections.values().any(|connection| connection.is_alone() && connection.load() > 1) {
            return Err("an operation that goes alone does not".into());
        }
        for call in self.calls.values() {
            // A late follower may have been left behind, and ends by its own timer.
            let is_late = call.deadline <= now;
            let leads = |leader| self.calls.contains_key(leader);
            let follows = |name| is_late || self.exchanges.leader(name).is_some_and(leads);
            match call.stage {
                Stage::Following(name) if !follows(name) => return Err("a get follows nobody".into()),
                Stage::Sent(conn, number) if !self.network.connections.get(conn).is_some_and(|c| c.awaits(number)) => {
                    return Err("an operation is on no connection".into());
                }
                Stage::Done if !matches!(call.owner, Owner::Caller(_)) => return Err("nobody was told".into()),
                _ => {}
            }
        }
        Ok(())
    }
}
