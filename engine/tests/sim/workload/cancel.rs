//! Operations that are cancelled.

use std::ops::Bound;

use super::Workload;
use crate::world::World;

impl Workload {
    /// Cancels any operation: one that waits, one that was sent, or one whose answer waits to be handed out.
    pub(super) fn cancel(&mut self, world: &mut World) {
        let outstanding = world.ledger.outstanding();
        let Some((&last, _)) = outstanding.last_key_value() else { return };
        let from = world.rng.u64(..=last);
        let range = (Bound::Included(from), Bound::Unbounded);
        let found = outstanding.range::<u64, _>(range).next();
        let Some((number, call, worker)) = found.map(|(&number, op)| (number, op.call, op.worker)) else { return };
        world.switch(worker);
        assert_eq!(world.worker.client.cancel(call, world.now), Some(number));
        assert_eq!(world.worker.client.cancel(call, world.now), None, "once");
        world.ledger.cancelled(number, world.now);
        world.obey();
    }
}
