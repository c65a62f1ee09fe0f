//! The modules that ask. The rule is in [`modules`](crate::front::modules).

use super::call::Stage;
use super::state::Client;
use crate::front::modules::ModuleView;
use crate::id::CallId;
use crate::operation::module::ModuleId;
use crate::time::Instant;

impl<T> Client<T> {
    /// The module of this name, for [`submit_within`](Client::submit_within). The same name is always the same module. `None`:
    /// there are [`MAX_MODULES`](crate::MAX_MODULES) others.
    pub fn module(&mut self, name: &[u8]) -> Option<ModuleId> {
        self.modules.named(name)
    }

    /// The modules that have a name, or have asked.
    pub fn modules(&self) -> impl Iterator<Item = ModuleView> + '_ {
        self.modules.views(|module| self.queued_of(module))
    }

    /// How many operations of a module wait for a connection.
    fn queued_of(&self, module: ModuleId) -> usize {
        let queued = self.servers.iter().map(|(_, server)| server.waiting_of(module));
        queued.fold(0, usize::saturating_add)
    }

    /// Whether an operation has to leave the least loaded connection to other modules.
    pub(super) fn spares(&self, call: CallId, now: Instant) -> bool {
        self.calls.get(call).is_some_and(|call| self.modules.spares(call.module, now))
    }

    /// Whether a lease get may wait, as far as other modules are concerned.
    pub(super) fn has_share_of_waits(&self, id: CallId, now: Instant) -> bool {
        let (all, taken) = (self.config.queue, self.lease_waits.count());
        let Some(module) = self.calls.get(id).map(|call| call.module) else { return true };
        let own = |id: CallId| self.calls.get(id).is_some_and(|c| c.module == module && c.stage == Stage::Waiting);
        if taken < all / 2 {
            return true;
        }
        let share = self.modules.share(module, all, now);
        // They are counted only where that matters.
        share >= all || self.lease_waits.of(own) < share
    }
}
