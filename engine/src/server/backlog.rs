//! Bytes of values that wait to be written to a server.

use super::share::has_room;
use crate::limits::{MAX_BACKLOG, MAX_MODULES};
use crate::operation::module::ModuleId;

/// The number of these bytes.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    bytes: usize,
    /// Invariant: the same by module.
    of: [usize; MAX_MODULES + 1],
}

/// Bytes of a value, and the module that has submitted it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub module: ModuleId,
    pub bytes: usize,
}

impl Backlog {
    /// Whether there is room for this. `share`: the module's share of so many bytes.
    #[inline]
    pub fn has_room(&self, load: Load, share: impl FnOnce(usize) -> usize) -> bool {
        let own = self.of.get(load.module.index()).copied().unwrap_or_default();
        let fits = self.bytes.saturating_add(load.bytes) <= MAX_BACKLOG;
        fits && (load.bytes == 0 || has_room(own, self.bytes, MAX_BACKLOG, || share(MAX_BACKLOG)))
    }

    /// So much more waits.
    #[inline]
    pub fn add(&mut self, load: Load) {
        if load.bytes > 0 {
            self.bytes = self.bytes.saturating_add(load.bytes);
            if let Some(of) = self.of.get_mut(load.module.index()) {
                *of = of.saturating_add(load.bytes);
            }
        }
    }

    /// So much was written, or will not be.
    #[inline]
    pub fn remove(&mut self, load: Load) {
        if load.bytes > 0 {
            self.bytes = self.bytes.saturating_sub(load.bytes);
            if let Some(of) = self.of.get_mut(load.module.index()) {
                *of = of.saturating_sub(load.bytes);
            }
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_half_a_module_has_its_share() {
        let mut backlog = Backlog::default();
        let load = |module, bytes| Load { module: ModuleId::from_index(module), bytes };
        let half = |all| all / 2;
        backlog.add(load(1, MAX_BACKLOG / 2 - 1));
        assert!(backlog.has_room(load(1, 10), half));
        backlog.add(load(1, 10));
        assert!(!backlog.has_room(load(1, 1), half) && backlog.has_room(load(1, 0), half));
        assert!(backlog.has_room(load(2, 1), half) && backlog.has_room(load(1, 1), |all| all));
        assert!(!backlog.has_room(load(2, MAX_BACKLOG / 2), half));
        backlog.remove(load(1, MAX_BACKLOG / 2 + 9));
        assert_eq!((backlog.bytes(), backlog.of[1]), (0, 0));
    }
}
