//! Which of its addresses a server is asked at, which is tried, and who looks whether an earlier one works.

use crate::id::ConnId;
use crate::time::Instant;

/// The addresses of a server, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct At {
    /// The one that connections which are ready are at.
    pub agreed: usize,
    /// The one that is tried where none is ready.
    pub tried: usize,
    /// How many were tried in vain since one worked, and the first of them.
    pub vain: usize,
    pub first: usize,
    /// The connection that looks whether an earlier one works. It is not among the server's.
    pub scout: Option<ConnId>,
    /// How often that was in vain, and when it is due again.
    pub looks: u32,
    pub look_at: Instant,
    /// Connections to other addresses that have replies pending. They are not among the server's.
    pub leaving: usize,
}

impl At {
    /// The address in use.
    pub fn agreed(&self) -> usize {
        self.agreed
    }

    /// Connections to other addresses.
    pub fn elsewhere(&self) -> usize {
        self.leaving.saturating_add(usize::from(self.scout.is_some()))
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

    /// A connection that was leaving has gone.
    pub fn left(&mut self) {
        self.leaving = self.leaving.saturating_sub(1);
    }

    /// The next try begins with the first address.
    pub fn start_over(&mut self) {
        (self.tried, self.vain) = (0, 0);
    }

    /// The next address to try, if there is one that was not tried: in order, after the one that had worked.
    pub fn next(&mut self, addresses: usize) -> bool {
        let next = if self.vain == 0 {
            self.first = self.tried;
            0
        } else {
            self.tried.saturating_add(1)
        };
        let next = if next == self.first { next.saturating_add(1) } else { next };
        self.vain = self.vain.saturating_add(1);
        if next >= addresses {
            self.start_over();
            return false;
        }
        self.tried = next;
        true
    }
}
