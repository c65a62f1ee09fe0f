//! The life of what is stored on a backup server.
//!
//! **The rule.** Whatever an operation creates or touches on a backup server lives there for `memcache_backup_ttl` at most:
//! items, counters, the empty items of leases, and items that are marked as stale. What does not set a life, as append
//! and a count of an item that is there, leaves one that has its bound already. An operation keeps the life that its caller
//! chose. Only its request has the shorter one, so it has its own again when it goes to another server.

use std::num::NonZeroU32;

use super::request::{StoreMode, Verb};
use super::work::Work;

impl Work {
    /// The same, for a server where nothing lives for longer than so many seconds.
    pub fn living_at_most(&self, secs: NonZeroU32) -> Work {
        match *self {
            Work::Keyed(ref verb) => Work::Keyed(verb.living_at_most(secs)),
            Work::Server(verb) => Work::Server(verb),
            Work::Create { direction, delta, value, ttl } => {
                Work::Create { direction, delta, value, ttl: ttl.at_most(secs) }
            }
            Work::SetBack { life, again } => Work::SetBack { life: life.at_most(secs), again },
        }
    }
}

impl Verb {
    fn living_at_most(&self, secs: NonZeroU32) -> Verb {
        let mut verb = self.clone();
        match &mut verb {
            // They leave the life that the item has.
            Verb::Store { mode: StoreMode::Append | StoreMode::Prepend, .. } => {}
            Verb::Store { ttl, .. }
            | Verb::Touch { ttl }
            | Verb::Get { touch: Some(ttl) }
            | Verb::Invalidate { ttl: Some(ttl), .. }
            | Verb::Count { initial: Some((_, ttl)), .. } => *ttl = ttl.at_most(secs),
            Verb::Lease { vivify, recache, .. } => {
                *vivify = (*vivify).min(secs);
                // Otherwise an item would be made anew again and again, as none ever has more seconds left.
                *recache = (*recache).min(secs.get() / 2);
            }
            Verb::Get { touch: None }
            | Verb::Inspect
            | Verb::Delete { .. }
            | Verb::Invalidate { ttl: None, .. }
            | Verb::Count { initial: None, .. } => {}
        }
        verb
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::operation::request::{Direction, ServerVerb, Ttl};

    const CAP: NonZeroU32 = NonZeroU32::new(10).unwrap();

    fn ttl(secs: u32) -> Ttl {
        Ttl::secs(secs, 1_800_000_000)
    }

    #[test]
    fn a_life_is_at_most_so_long() {
        for (chosen, on_backup) in [(1, 1), (9, 9), (10, 10), (11, 10), (0, 10), (2_592_000, 10), (2_592_001, 10)] {
            assert_eq!(ttl(chosen).at_most(CAP), ttl(on_backup), "{chosen}");
        }
    }

    #[test]
    fn whatever_sets_a_life_sets_a_shorter_one() {
        let keyed = |verb: Verb| match Work::Keyed(verb).living_at_most(CAP) {
            Work::Keyed(verb) => verb,
            other => panic!("{other:?}"),
        };
        let store = |mode, ttl| Verb::Store { mode, value: Bytes::from_static(b"v"), flags: 7, ttl, cas: 8 };
        for mode in [StoreMode::Set, StoreMode::Add, StoreMode::Replace] {
            assert_eq!(keyed(store(mode, Ttl::NEVER)), store(mode, ttl(10)));
        }
        for mode in [StoreMode::Append, StoreMode::Prepend] {
            assert_eq!(keyed(store(mode, Ttl::NEVER)), store(mode, Ttl::NEVER));
        }
        let count = |initial| Verb::Count { direction: Direction::Incr, delta: 1, initial, cas: 0 };
        let lease = |vivify, recache| Verb::Lease { vivify: NonZeroU32::new(vivify).unwrap(), recache, wait: true };
        for (chosen, on_backup) in [
            (Verb::Touch { ttl: ttl(60) }, Verb::Touch { ttl: ttl(10) }),
            (Verb::Get { touch: Some(ttl(60)) }, Verb::Get { touch: Some(ttl(10)) }),
            (Verb::Get { touch: None }, Verb::Get { touch: None }),
            (Verb::Invalidate { ttl: Some(ttl(60)), cas: 3 }, Verb::Invalidate { ttl: Some(ttl(10)), cas: 3 }),
            (Verb::Invalidate { ttl: None, cas: 3 }, Verb::Invalidate { ttl: None, cas: 3 }),
            (count(Some((5, Ttl::NEVER))), count(Some((5, ttl(10))))),
            (count(None), count(None)),
            (lease(60, 30), lease(10, 5)),
            (lease(2, 3), lease(2, 3)),
            (Verb::Delete { cas: 1 }, Verb::Delete { cas: 1 }),
            (Verb::Inspect, Verb::Inspect),
        ] {
            assert_eq!(keyed(chosen), on_backup);
        }
    }

    #[test]
    fn so_do_steps_of_the_client_itself() {
        let create = Work::Create { direction: Direction::Incr, delta: 1, value: 5, ttl: Ttl::NEVER };
        assert!(matches!(create.living_at_most(CAP), Work::Create { ttl: life, value: 5, .. } if life == ttl(10)));
        let set_back = Work::SetBack { life: ttl(60), again: true };
        assert!(matches!(set_back.living_at_most(CAP), Work::SetBack { life, again: true } if life == ttl(10)));
        let flush = Work::Server(ServerVerb::FlushAll { delay: 60 });
        assert!(matches!(flush.living_at_most(CAP), Work::Server(ServerVerb::FlushAll { delay: 60 })));
    }
}
