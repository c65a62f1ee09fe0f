//! The health of a server, shared by clients of several processes.
//!
//! A client that finds a server down, or up again, notes it here. The others adopt that, instead of finding it out by
//! themselves. One of them probes: the one with the right to probe, which expires, so that a prober that dies is replaced.
//! There is no lock: a process may die at any point, and the others can go on.
//!
//! All moments are of one clock. An implausible one counts as past.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::lease::Lease;
use crate::limits::{MAX_PROBE_PAUSE, MAX_TIMEOUT};
use crate::metrics::counter::Counter;
use crate::time::Instant;

/// The health of a server, in memory that its clients share. Zeros mean that nothing was written: the server is live.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct SharedHealth {
    /// [`SharedState`]
    state: AtomicU64,
    /// The right to probe.
    lease: Lease,
    /// Details of the state, written by the client that has changed it. They are not exchanged together with it: reading older
    /// ones can only cause a probe that is too early.
    since: Counter,
    retry_at: Counter,
    times_down: Counter,
    /// [`AddressInUse`]
    address: AtomicU64,
    /// When an earlier address is to be tried.
    trial_at: Counter,
}

/// Whether a server is down, and how often that has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SharedState(u64);

impl SharedState {
    pub fn is_down(self) -> bool {
        self.0 & 1 == 1
    }

    /// The next one, which is the opposite.
    fn next(self) -> SharedState {
        SharedState(self.0.wrapping_add(1))
    }
}

/// The details of a server that another client has found down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// When that was found.
    pub since: Instant,
    /// When it is to be probed.
    pub retry_at: Instant,
    /// How often it has gone down, or a probe failed, since it was stable.
    pub times_down: u32,
}

/// The address that the server is asked at: its number, and the list that the number is of.
///
/// Clients that follow a name learn of its addresses at different times. While they have different lists, the number of one
/// client means nothing to another, and each finds its address by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AddressInUse(u64);

const NUMBER_BITS: u32 = 16;
const NUMBER: u64 = (1 << NUMBER_BITS) - 1;

impl AddressInUse {
    pub fn new(list: u64, number: usize) -> AddressInUse {
        let number = u64::try_from(number).unwrap_or(NUMBER).min(NUMBER);
        AddressInUse(list << NUMBER_BITS | number)
    }

    /// Whether it is of this list.
    pub fn is_of(self, list: u64) -> bool {
        self.0 >> NUMBER_BITS == list << NUMBER_BITS >> NUMBER_BITS
    }

    pub fn number(self) -> usize {
        usize::try_from(self.0 & NUMBER).unwrap_or(0)
    }
}

impl SharedHealth {
    #[inline]
    pub(crate) fn state(&self) -> SharedState {
        SharedState(self.state.load(Ordering::Acquire))
    }

    /// Whether the server is down.
    pub fn is_down(&self) -> bool {
        self.state().is_down()
    }

    /// The time of the last change; `None`: there was none.
    pub fn since(&self) -> Option<Instant> {
        (self.state() != SharedState::default()).then(|| Instant::from_micros(self.since.get()))
    }

    /// The details of a server that is down.
    pub(crate) fn finding(&self, now: Instant) -> Finding {
        let retry_at = Instant::from_micros(self.retry_at.get());
        let latest = now.after(LONGEST_PAUSE);
        Finding {
            since: Instant::from_micros(self.since.get()),
            retry_at: if retry_at > latest { now } else { retry_at },
            times_down: u32::try_from(self.times_down.get()).unwrap_or(u32::MAX),
        }
    }

    /// Notes that the server is down. True for the first client that does.
    pub(crate) fn declare_down(&self, finding: Finding) -> (bool, SharedState) {
        let declared = self.declare(true);
        if declared.0 {
            self.since.set(finding.since.as_micros());
            self.put_off(finding);
        }
        declared
    }

    /// Notes that the server is live. True for the first client that does.
    pub(crate) fn declare_live(&self, now: Instant) -> (bool, SharedState) {
        let declared = self.declare(false);
        if declared.0 {
            self.since.set(now.as_micros());
        }
        declared
    }

    fn declare(&self, down: bool) -> (bool, SharedState) {
        let mut current = self.state();
        loop {
            if current.is_down() == down {
                return (false, current);
            }
            let next = current.next();
            match self.state.compare_exchange(current.0, next.0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return (true, next),
                Err(other) => current = SharedState(other),
            }
        }
    }

    /// Sets the time of the next probe.
    pub(crate) fn put_off(&self, finding: Finding) {
        self.retry_at.set(finding.retry_at.as_micros());
        self.times_down.set(finding.times_down.into());
    }

    /// The address in use.
    #[inline]
    pub(crate) fn address(&self) -> AddressInUse {
        AddressInUse(self.address.load(Ordering::Acquire))
    }

    /// Changes the address in use, within a list. False: another client has done so. Where the others have another list, this
    /// client goes alone.
    pub(crate) fn move_address(&self, list: u64, from: usize, to: usize) -> bool {
        let (from, to) = (AddressInUse::new(list, from), AddressInUse::new(list, to));
        match self.address.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(other) => !AddressInUse(other).is_of(list),
        }
    }

    /// A client has another list from now on, and would use this address of it. If others have that list already, their
    /// choice stays.
    pub(crate) fn enter_list(&self, list: u64, number: usize) {
        let mut current = self.address();
        while !current.is_of(list) {
            let mine = AddressInUse::new(list, number);
            match self.address.compare_exchange(current.0, mine.0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(other) => current = AddressInUse(other),
            }
        }
    }

    /// When an earlier address is to be tried.
    pub(crate) fn trial_at(&self, now: Instant) -> Instant {
        let trial_at = Instant::from_micros(self.trial_at.get());
        if trial_at > now.after(LONGEST_PAUSE) {
            now
        } else {
            trial_at
        }
    }

    /// Sets that time.
    pub(crate) fn put_trial_off(&self, at: Instant) {
        self.trial_at.set(at.as_micros());
    }

    /// Asks for the right to probe, for this time. `Err`: another process has it, until then.
    pub(crate) fn lease(&self, holder: u32, time: Duration, now: Instant) -> Result<(), Instant> {
        self.lease.take(holder, time, now)
    }

    /// Gives the right to probe back, if this process has it.
    pub(crate) fn release(&self, holder: u32) {
        self.lease.release(holder);
    }
}

/// The longest pause that a configuration and its jitter can lead to.
const LONGEST_PAUSE: Duration = if MAX_PROBE_PAUSE.as_secs() > MAX_TIMEOUT.as_secs() {
    Duration::from_secs(MAX_PROBE_PAUSE.as_secs() * 2)
} else {
    Duration::from_secs(MAX_TIMEOUT.as_secs() * 2)
};

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis.saturating_mul(1000))
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_first_one_says_it() {
        let shared_health = SharedHealth::default();
        assert_eq!((shared_health.is_down(), shared_health.since()), (false, None));
        let finding = Finding { since: at(5), retry_at: at(5_005), times_down: 1 };
        let (first, state) = shared_health.declare_down(finding);
        assert!(first && state.is_down());
        let late = Finding { since: at(6), retry_at: at(9_999), times_down: 7 };
        assert_eq!(shared_health.declare_down(late), (false, state));
        assert_eq!(shared_health.finding(at(7)), finding);
        assert_eq!(shared_health.since(), Some(at(5)));
        let (first, up) = shared_health.declare_live(at(8));
        assert!(first && !up.is_down() && up != SharedState::default());
        assert_eq!(shared_health.declare_live(at(9)), (false, up));
        assert_eq!(shared_health.since(), Some(at(8)));
    }

    #[test]
    fn one_holds_the_lease_until_it_expires_or_is_given_back() {
        let shared_health = SharedHealth::default();
        assert_eq!(shared_health.lease(1, SECOND, at(0)), Ok(()));
        assert_eq!(shared_health.lease(2, SECOND, at(999)), Err(at(1_000)));
        assert_eq!(shared_health.lease(1, SECOND, at(999)), Ok(()), "it may go on");
        assert_eq!(shared_health.lease(2, SECOND, at(1_000)), Err(at(1_999)));
        assert_eq!(shared_health.lease(2, SECOND, at(1_999)), Ok(()), "it has expired");
        shared_health.release(1);
        assert_eq!(shared_health.lease(1, SECOND, at(2_000)), Err(at(2_999)), "it was not the holder's to give back");
        shared_health.release(2);
        assert_eq!(shared_health.lease(1, SECOND, at(2_001)), Ok(()));
    }

    #[test]
    fn a_number_is_of_a_list() {
        let shared_health = SharedHealth::default();
        assert_eq!(shared_health.address(), AddressInUse::new(0, 0));
        assert!(shared_health.move_address(0, 0, 2));
        assert!(!shared_health.move_address(0, 0, 1), "another client has moved");
        let large = u64::MAX - 5;
        shared_health.enter_list(large, 1);
        assert_eq!(shared_health.address(), AddressInUse::new(large, 1));
        assert!(shared_health.address().is_of(large) && !shared_health.address().is_of(0));
        shared_health.enter_list(large, 0);
        assert_eq!(shared_health.address().number(), 1, "the first one's choice");
        assert!(shared_health.move_address(0, 2, 1), "who has the former list goes alone");
        assert_eq!(shared_health.address(), AddressInUse::new(large, 1));
        assert_eq!(AddressInUse::new(0, usize::MAX).number(), NUMBER as usize);
    }

    #[test]
    fn moments_out_of_all_proportion_are_past() {
        let shared_health = SharedHealth::default();
        assert_eq!(shared_health.lease(1, SECOND, at(60_000)), Ok(()), "by a clock that is a minute ahead");
        assert_eq!(shared_health.lease(2, SECOND, at(0)), Ok(()));
        shared_health.declare_down(Finding { since: at(0), retry_at: Instant::from_micros(u64::MAX), times_down: 1 });
        assert_eq!(shared_health.finding(at(3)).retry_at, at(3));
    }
}
