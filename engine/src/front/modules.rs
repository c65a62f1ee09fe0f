//! The modules that ask, and their shares.
//!
//! **The rule.** Several modules of a process use one client. None can keep another from it:
//!
//! - Where more than half of a server's queue is taken, a module that waits with at least its share gets
//!   [`Busy`](crate::Error::Busy). The share is the queue, divided by the number of modules that use the client: that have
//!   asked within the last second ([`IN_USE`]). A module that is alone leaves an eighth, so that another can begin. The bytes
//!   of values that wait for a server, and the lease gets that wait, are shared by the same rule.
//! - A server's queue has a line for each module, and they are served by turns (`server/queue.rs`).
//! - A module that has had `memcache_pipeline` operations under way, and still has any, leaves the least loaded connection of
//!   each server to others, unless so few replies are pending there that it does not matter (`server/pick.rs`).
//!
//! A client with one module has nothing to share.

use bytes::Bytes;

use crate::limits::{IN_USE, MAX_MODULES};
use crate::operation::module::ModuleId;
use crate::time::Instant;

/// A module that is alone leaves one of so many places to others.
const LEFT_FREE: usize = 8;

/// All modules that have asked, or have a name.
#[derive(Debug)]
pub(crate) struct Modules {
    /// By [`ModuleId`].
    ///
    /// Invariant: there is that of those without a name, and at most [`MAX_MODULES`] others.
    of: Vec<Module>,
    /// How many operations under way make a module heavy.
    heavy_at: usize,
}

#[derive(Debug, Default)]
struct Module {
    name: Bytes,
    asked_at: Instant,
    /// Operations that have not ended.
    open: usize,
    /// It has had many operations under way, and has had some ever since.
    is_heavy: bool,
    accepted: u64,
    errors: u64,
}

impl Module {
    fn has_asked(&self) -> bool {
        self.accepted > 0 || self.errors > 0
    }

    fn is_using(&self, now: Instant) -> bool {
        self.has_asked() && self.asked_at.after(IN_USE) > now
    }
}

/// What a module has asked for, as the client shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleView {
    /// Its name; empty: all that have not said which module they are.
    pub name: Bytes,
    /// Operations that were accepted. Each key of many counts.
    pub operations: u64,
    /// Operations that failed, or were refused; a miss is not a failure, and neither is a cancellation.
    pub errors: u64,
    /// Operations that wait for a connection now.
    pub queued: usize,
}

impl Modules {
    /// `heavy_at`: how many operations under way make a module heavy.
    pub fn new(heavy_at: usize) -> Self {
        Modules { of: vec![Module::default()], heavy_at }
    }

    /// The module of this name. `None`: there are [`MAX_MODULES`] others.
    pub fn named(&mut self, name: &[u8]) -> Option<ModuleId> {
        let known = self.of.iter().skip(1).position(|module| module.name == name);
        let index = match known {
            Some(at) => at.saturating_add(1),
            None if self.of.len() > MAX_MODULES => return None,
            None => {
                self.of.push(Module { name: Bytes::copy_from_slice(name), ..Module::default() });
                self.of.len().saturating_sub(1)
            }
        };
        Some(ModuleId::from_index(index))
    }

    /// An operation was accepted.
    #[inline]
    pub fn accepted(&mut self, module: ModuleId, now: Instant) {
        let Some(module) = self.of.get_mut(module.index()) else { return };
        module.asked_at = now;
        module.accepted = module.accepted.wrapping_add(1);
        module.open = module.open.wrapping_add(1);
        module.is_heavy |= module.open >= self.heavy_at;
    }

    /// An operation that was accepted has ended.
    #[inline]
    pub fn ended(&mut self, module: ModuleId, failed: bool) {
        let Some(module) = self.of.get_mut(module.index()) else { return };
        module.errors = module.errors.wrapping_add(failed.into());
        module.open = module.open.saturating_sub(1);
        module.is_heavy &= module.open > 0;
    }

    /// An operation was refused.
    pub fn refused(&mut self, module: ModuleId, now: Instant) {
        let Some(module) = self.of.get_mut(module.index()) else { return };
        module.asked_at = now;
        module.errors = module.errors.wrapping_add(1);
    }

    /// Whether a module has to leave a connection to others.
    #[inline]
    pub fn spares(&self, module: ModuleId, now: Instant) -> bool {
        let is_heavy = self.is_heavy(module);
        is_heavy && self.others(module, now) > 0
    }

    /// Whether it may have to.
    #[inline]
    pub fn is_heavy(&self, module: ModuleId) -> bool {
        self.of.get(module.index()).is_some_and(|module| module.is_heavy)
    }

    /// Whether any module has to leave a connection to others.
    pub fn any_spares(&self, now: Instant) -> bool {
        (0..self.of.len()).any(|index| self.spares(ModuleId::from_index(index), now))
    }

    /// A module's share of so many places.
    pub fn share(&self, module: ModuleId, all: usize, now: Instant) -> usize {
        let has_others = self.of.iter().enumerate().any(|(index, other)| {
            let is_known = index > 0 || other.has_asked();
            index != module.index() && is_known
        });
        match self.others(module, now) {
            0 if has_others => all.saturating_sub(all / LEFT_FREE),
            others => all.checked_div(others.saturating_add(1)).unwrap_or(all).max(1),
        }
    }

    /// How many other modules use the client.
    fn others(&self, module: ModuleId, now: Instant) -> usize {
        let others = self.of.iter().enumerate().filter(|&(index, _)| index != module.index());
        others.filter(|(_, other)| other.is_using(now)).count()
    }

    /// How many operations of each have not ended.
    pub fn open(&self) -> impl Iterator<Item = usize> + '_ {
        self.of.iter().map(|module| module.open)
    }

    /// All that have a name, or have asked. `queued`: how many operations of one wait.
    pub fn views<'a>(&'a self, queued: impl Fn(ModuleId) -> usize + 'a) -> impl Iterator<Item = ModuleView> + 'a {
        let known = self.of.iter().enumerate().filter(|(index, module)| *index > 0 || module.has_asked());
        known.map(move |(index, module)| ModuleView {
            name: module.name.clone(),
            operations: module.accepted,
            errors: module.errors,
            queued: queued(ModuleId::from_index(index)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::from_micros(secs.saturating_mul(1_000_000))
    }

    #[test]
    fn a_name_is_one_module_and_there_is_a_bound() {
        let mut modules = Modules::new(8);
        let ids: Vec<_> =
            (0..MAX_MODULES).map(|n| modules.named(format!("m{n}").as_bytes()).unwrap().index()).collect();
        assert_eq!(ids, (1..=MAX_MODULES).collect::<Vec<_>>());
        assert_eq!(modules.named(b"m3").map(ModuleId::index), Some(4));
        assert_eq!(modules.named(b"one more"), None);
        assert_eq!(ModuleId::from_index(MAX_MODULES.saturating_add(1)), ModuleId::UNTAGGED);
        assert_eq!(modules.views(|_| 0).count(), MAX_MODULES, "nobody without a name has asked");
    }

    #[test]
    fn shares_are_those_of_modules_that_ask_now() {
        let mut modules = Modules::new(8);
        assert_eq!(modules.share(ModuleId::UNTAGGED, 1024, at(5)), 1024, "nobody else is known");
        let (one, two) = (modules.named(b"one").unwrap(), modules.named(b"two").unwrap());
        modules.accepted(one, at(5));
        assert_eq!(modules.share(one, 1024, at(5)), 896, "it is alone");
        assert_eq!(modules.share(two, 1024, at(5)), 512);
        modules.refused(two, at(5));
        assert_eq!(modules.share(one, 1024, at(5)), 512, "who is refused uses the client, too");
        assert_eq!(modules.share(ModuleId::UNTAGGED, 1024, at(5)), 341);
        assert_eq!(modules.share(one, 1024, at(6)), 896, "the other has not asked for a second");
        assert_eq!(modules.share(ModuleId::UNTAGGED, 1, at(5)), 1);
    }

    #[test]
    fn a_module_is_heavy_until_all_of_it_has_ended() {
        let mut modules = Modules::new(3);
        let one = modules.named(b"one").unwrap();
        modules.accepted(ModuleId::UNTAGGED, at(5));
        (0..2).for_each(|_| modules.accepted(one, at(5)));
        assert!(!modules.spares(one, at(5)));
        modules.accepted(one, at(5));
        assert!(modules.spares(one, at(5)) && !modules.spares(ModuleId::UNTAGGED, at(5)));
        assert!(!modules.spares(one, at(7)), "nobody else asks");
        (0..2).for_each(|_| modules.ended(one, true));
        assert!(modules.spares(one, at(5)) && modules.any_spares(at(5)));
        modules.ended(one, false);
        assert!(!modules.spares(one, at(5)) && !modules.any_spares(at(5)));
        let views: Vec<_> = modules.views(ModuleId::index).collect();
        let of_one = ModuleView { name: "one".into(), operations: 3, errors: 2, queued: 1 };
        let untagged = ModuleView { name: Bytes::new(), operations: 1, errors: 0, queued: 0 };
        assert_eq!(views, [untagged, of_one]);
    }
}
