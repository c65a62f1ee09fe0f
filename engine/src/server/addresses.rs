//! The address in use, and the state of the others, by number.

use crate::id::ConnId;
use crate::shared::AddressInUse;
use crate::time::Instant;

/// The state of a server's addresses.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// Which list they are of; 0: that of the configuration.
    list: u64,
    /// The address of the ready connections.
    agreed: usize,
    /// These two, as other clients see them.
    in_use: AddressInUse,
    /// The address to try while none is ready.
    tried: usize,
    /// The addresses that failed since one worked: their number, and the first of them.
    failed: usize,
    first_tried: usize,
    /// The connection that tries an earlier address. It is not in the server's list.
    trial: Option<ConnId>,
    /// The number of failed trials, and the time of the next one.
    trials: u32,
    trial_at: Instant,
    /// Connections to other addresses with replies pending. They are not in the server's list.
    leaving: usize,
}

impl Addresses {
    /// The address in use.
    pub fn agreed(&self) -> usize {
        self.agreed
    }

    /// The list.
    pub fn list(&self) -> u64 {
        self.list
    }

    /// The address in use, as other clients see it.
    #[inline]
    pub fn in_use(&self) -> AddressInUse {
        self.in_use
    }

    /// The address of a new connection while none is ready.
    pub fn tried(&self) -> usize {
        self.tried
    }

    /// The number of connections to other addresses.
    pub fn elsewhere(&self) -> usize {
        self.leaving.saturating_add(usize::from(self.trial.is_some()))
    }

    /// The number of these with replies pending.
    pub fn leaving(&self) -> usize {
        self.leaving
    }

    /// Whether any connection to another address is left.
    #[inline]
    pub fn is_moving(&self) -> bool {
        self.leaving > 0
    }

    /// A connection to another address has replies pending.
    pub fn leave(&mut self) {
        self.leaving = self.leaving.saturating_add(1);
    }

    /// Such a connection has ended.
    pub fn left(&mut self) {
        self.leaving = self.leaving.saturating_sub(1);
    }

    /// The next try begins with the first address.
    pub fn start_over(&mut self) {
        (self.tried, self.failed) = (0, 0);
    }

    /// This address works.
    pub fn works(&mut self, address: usize) {
        (self.tried, self.failed) = (address, 0);
    }

    /// This address is in use from now on. An earlier one is tried at `trial_at`.
    pub fn move_to(&mut self, address: usize, trial_at: Instant) {
        self.agreed = address;
        self.in_use = AddressInUse::new(self.list, address);
        self.works(address);
        self.trials = 0;
        self.trial_at = trial_at;
    }

    /// There is another list of addresses: the numbers of the address in use, and of the one to try.
    pub fn renumber(&mut self, list: u64, agreed: usize, tried: usize) {
        (self.list, self.agreed) = (list, agreed);
        self.in_use = AddressInUse::new(list, agreed);
        self.works(tried);
    }

    /// Moves on to the next address that was not tried, if there is one, beginning after the one that worked.
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

    /// The connection that tries an earlier address.
    pub fn trial(&self) -> Option<ConnId> {
        self.trial
    }

    /// The time of the next trial.
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

    /// Counts a failed trial. Returns their number.
    pub fn count_trial(&mut self) -> u32 {
        self.trials = self.trials.saturating_add(1);
        self.trials
    }
}
