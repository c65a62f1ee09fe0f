//! Which of its addresses a server is asked at, by their numbers.

use crate::id::ConnId;
use crate::time::Instant;

/// What is known of the addresses of a server.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// The one that connections which are ready are at.
    agreed: usize,
    /// The one that is tried where none is ready.
    tried: usize,
    /// How many have failed since one worked, and the first of them.
    failed: usize,
    first_tried: usize,
    /// The connection that tries whether an earlier one works. It is not among the server's.
    trial: Option<ConnId>,
    /// How often that was in vain, and when it is due again.
    trials: u32,
    trial_at: Instant,
    /// Connections to other addresses that have replies pending. They are not among the server's.
    leaving: usize,
}

impl Addresses {
    /// The address in use.
    pub fn agreed(&self) -> usize {
        self.agreed
    }

    /// The one that a new connection goes to where none is ready.
    pub fn tried(&self) -> usize {
        self.tried
    }

    /// Connections to other addresses.
    pub fn elsewhere(&self) -> usize {
        self.leaving.saturating_add(usize::from(self.trial.is_some()))
    }

    /// Of these, those with replies pending.
    pub fn leaving(&self) -> usize {
        self.leaving
    }

    /// Whether something is still under way to another address.
    #[inline]
    pub fn is_moving(&self) -> bool {
        self.leaving > 0
    }

    /// A connection goes to another address.
    pub fn leave(&mut self) {
        self.leaving = self.leaving.saturating_add(1);
    }

    /// A connection that was leaving has gone.
    pub fn left(&mut self) {
        self.leaving = self.leaving.saturating_sub(1);
    }

    /// The next try begins with the first address.
    pub fn start_over(&mut self) {
        (self.tried, self.failed) = (0, 0);
    }

    /// This one works.
    pub fn works(&mut self, address: usize) {
        (self.tried, self.failed) = (address, 0);
    }

    /// This one is in use from now on; an earlier one is tried at that time.
    pub fn move_to(&mut self, address: usize, trial_at: Instant) {
        self.agreed = address;
        self.works(address);
        self.trials = 0;
        self.trial_at = trial_at;
    }

    /// The next address to try, if there is one that was not tried: in order, after the one that had worked.
    pub fn next(&mut self, addresses: usize) -> bool {
        let next = if self.failed == 0 {
            self.first_tried = self.tried;
            0
        } else {
            self.tried.saturating_add(1)
        };
        let next = if next == self.first_tried { next.saturating_add(1) } else { next };
        self.failed = self.failed.saturating_add(1);
        if next >= addresses {
            self.start_over();
            return false;
        }
        self.tried = next;
        true
    }

    /// The connection that tries whether an earlier one works.
    pub fn trial(&self) -> Option<ConnId> {
        self.trial
    }

    /// When the next one is due.
    pub fn trial_at(&self) -> Instant {
        self.trial_at
    }

    pub fn begin_trial(&mut self, conn: ConnId) {
        self.trial = Some(conn);
    }

    pub fn end_trial(&mut self) -> Option<ConnId> {
        self.trial.take()
    }

    pub fn put_trial_off(&mut self, at: Instant) {
        self.trial_at = at;
    }

    /// No earlier one works: how often that was so.
    pub fn count_trial(&mut self) -> u32 {
        self.trials = self.trials.saturating_add(1);
        self.trials
    }
}
