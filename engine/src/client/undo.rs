//! What a lookup has done to what it does not find is undone.

use super::call::{NewCall, Owner};
use super::state::Client;
use crate::connection::{SideEffect, Undo};
use crate::id::ServerId;
use crate::operation::request::Verb;
use crate::operation::work::Work;
use crate::route::subset::Subset;
use crate::time::Instant;

impl<T> Client<T> {
    /// Undoes what a lookup has done to what it does not find, or cannot use: gives a lease back that came to somebody who
    /// does not make the item, so that another caller gets it, and lets what was touched live as long as before.
    ///
    /// There are three of these at most for each lookup, and one where it touches nothing, as their own answers bring no
    /// lease; they take places in pipelines like all others, are counted, and keep no worker from its exit.
    pub(super) fn hand_back(&mut self, id: ServerId, side_effect: SideEffect, now: Instant) {
        let SideEffect { key, undo } = side_effect;
        let (work, instead) = match undo {
            // Where one version cannot be marked the lease stays with nobody. At least it does not last longer.
            Undo::Mark { cas, life } => {
                let instead = life.map(|life| Work::SetBack { life, again: true });
                (Work::Keyed(Verb::Invalidate { ttl: life, cas }), instead)
            }
            Undo::Remove { cas } => (Work::Keyed(Verb::Delete { cas }), None),
            Undo::Life { life, again } => (Work::SetBack { life, again }, None),
        };
        // Without the version, it could be somebody's new item that is marked or deleted.
        let Some(work) = [Some(work), instead].into_iter().flatten().find(|work| self.supports(id, Some(&key), work))
        else {
            return;
        };
        // Without room now, the lease ends by itself, after the time that its asker chose.
        if let Some(target) = self.target(id, Some(&key), 0).connection() {
            let new = NewCall { key: Some(key), work, subset: Subset::ALL, home: id, server: id };
            let call = self.enter(Owner::Internal, new, self.config.timeout, now);
            self.internal = self.internal.saturating_add(1);
            if let Some(server) = self.servers.get(id) {
                server.handed_back();
            }
            self.place(call, id, Some(target), 0, now);
        }
    }
}
