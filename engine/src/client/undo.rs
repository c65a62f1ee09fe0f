//! Side effects of lookups are undone here.

use super::call::{NewCall, Owner};
use super::state::Client;
use crate::connection::{SideEffect, Undo};
use crate::id::ServerId;
use crate::operation::module::ModuleId;
use crate::operation::request::Verb;
use crate::operation::work::Work;
use crate::route::subset::Subset;
use crate::time::Instant;

impl<T> Client<T> {
    /// Undoes the side effect of a lookup that misses, or cannot use the item. It hands back the lease that the lookup
    /// got, so that another caller gets it, and restores the life of an item that was touched.
    ///
    /// A lookup causes at most three such operations, and one if it does not touch, as the answers to these bring no
    /// lease. They take places in pipelines like other operations, are counted, and do not delay a worker's exit.
    pub(super) fn hand_back(&mut self, id: ServerId, side_effect: SideEffect, now: Instant) {
        // One that has left the list gets nothing more.
        if self.servers.member(id).is_none() {
            return;
        }
        let SideEffect { key, undo } = side_effect;
        let (work, instead) = match undo {
            // If the server cannot mark a single version, the lease is lost. At least its life is restored.
            Undo::Mark { cas, life } => {
                let instead = life.map(|life| Work::SetBack { life, again: true });
                (Work::Keyed(Verb::Invalidate { ttl: life, cas }), instead)
            }
            Undo::Remove { cas } => (Work::Keyed(Verb::Delete { cas }), None),
            Undo::Life { life, again } => (Work::SetBack { life, again }, None),
        };
        // Without the version, a new item of another client could be marked or deleted.
        let Some(work) = [Some(work), instead].into_iter().flatten().find(|work| self.supports(id, Some(&key), work))
        else {
            return;
        };
        // Without room now, the lease ends by itself, after the time that its request chose.
        if let Some(target) = self.target(id, Some(&key), 0, false).connection() {
            let module = ModuleId::UNTAGGED;
            let new = NewCall { key: Some(key), work, module, subset: Subset::ALL, home: id, server: id };
            let call = self.enter(Owner::Internal, new, self.config.timeout, now);
            self.internal = self.internal.saturating_add(1);
            if let Some(server) = self.servers.get(id) {
                server.handed_back();
            }
            self.place(call, id, Some(target), 0, now);
        }
    }
}
