//! The slots of workers.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::metrics::counter::Counter;

/// A worker's slot in shared memory. Zeros are a free one.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Slot {
    pid: AtomicU64,
    generation: Counter,
}

impl Slot {
    /// The process that has it, and the configuration that it works with.
    pub fn holder(&self) -> Option<(u32, u64)> {
        let pid = u32::try_from(self.pid.load(Ordering::Acquire)).ok().filter(|&pid| pid > 0)?;
        Some((pid, self.generation.get()))
    }

    /// Frees the slot, if this process has it.
    pub fn release(&self, pid: u32) {
        let _ = self.pid.compare_exchange(pid.into(), 0, Ordering::AcqRel, Ordering::Relaxed);
    }

    fn take(&self, from: u32, pid: u32, generation: u64) -> bool {
        let taken = self.pid.compare_exchange(from.into(), pid.into(), Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if taken {
            self.generation.set(generation);
        }
        taken
    }
}

/// Takes a slot for a process: that of a dead one, or else a free one. Returns its number. `None`: all are in use.
pub fn claim<'a>(
    slots: impl Iterator<Item = &'a Slot> + Clone,
    pid: u32,
    generation: u64,
    alive: impl Fn(u32) -> bool,
) -> Option<usize> {
    let dead = |slot: &Slot| slot.holder().map(|(pid, _)| pid).filter(|&holder| holder == pid || !alive(holder));
    let of_dead = |slot: &Slot| dead(slot).is_some_and(|holder| slot.take(holder, pid, generation));
    let free = |slot: &Slot| slot.holder().is_none() && slot.take(0, pid, generation);
    slots.clone().position(of_dead).or_else(|| slots.clone().position(free))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(count: usize) -> Vec<Slot> {
        (0..count).map(|_| Slot::default()).collect()
    }

    #[test]
    fn the_dead_are_replaced_first_and_the_living_are_left_alone() {
        let slots = slots(3);
        assert_eq!(claim(slots.iter(), 10, 1, |_| true), Some(0));
        assert_eq!(claim(slots.iter(), 11, 1, |_| true), Some(1));
        assert_eq!(claim(slots.iter(), 12, 2, |pid| pid != 11), Some(1));
        assert_eq!(slots[1].holder(), Some((12, 2)));
        assert_eq!(claim(slots.iter(), 13, 2, |_| true), Some(2));
        assert_eq!(claim(slots.iter(), 14, 2, |_| true), None);
        slots[0].release(99);
        assert_eq!(slots[0].holder(), Some((10, 1)), "it is not its own");
        slots[0].release(10);
        assert_eq!(claim(slots.iter(), 14, 2, |_| true), Some(0));
        assert_eq!(claim(slots.iter(), 14, 3, |_| true), Some(0), "a number that was used again");
    }

    #[test]
    fn two_that_claim_at_once_get_different_slots() {
        let slots = slots(8);
        let taken = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=8)
                .map(|pid| {
                    scope.spawn({
                        let slots = &slots;
                        move || claim(slots.iter(), pid, 1, |_| true)
                    })
                })
                .collect();
            let mut taken: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect();
            taken.sort_unstable();
            taken
        });
        assert_eq!(taken, (0..8).collect::<Vec<_>>());
    }
}
