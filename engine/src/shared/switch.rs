//! What the operator wants of a server, for all workers.
//!
//! It belongs to the server's name, and is stronger than what any client finds or a sibling wants. Every worker may change it, and
//! acts on it when it next looks. There is no lock: a process may die at any point, and the others can go on.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::time::Instant;

/// What the operator wants of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Switch {
    /// In use.
    #[default]
    Up,
    /// Out of use at once: operations that wait for it move to a stand-in or fail, and nothing more is sent.
    Down,
    /// Out of use gradually: it takes no new operation, and what waits for it is still sent.
    Drain,
}

impl Switch {
    /// All of them.
    pub const ALL: [Switch; 3] = [Switch::Up, Switch::Down, Switch::Drain];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Switch::Up => "up",
            Switch::Down => "down",
            Switch::Drain => "drain",
        }
    }

    /// The one with this name.
    pub fn parse(name: &[u8]) -> Option<Switch> {
        Switch::ALL.into_iter().find(|switch| switch.name().as_bytes() == name)
    }
}

/// When a switch was changed, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switched {
    /// When.
    pub at: Instant,
    /// The address of who did it, in a form that only the caller knows.
    pub by: [u8; 16],
}

/// A server's switch, in memory that its clients share. Zeros mean that nothing was written: the server is in use.
#[derive(Debug, Default)]
#[repr(C)]
pub struct SharedSwitch {
    /// [`Setting`]
    setting: AtomicU64,
    /// About the last changes. A change and its note are not written together: a note counts only if it is whole, and of the
    /// change that is read.
    notes: [Note; 2],
}

/// A switch, and how often it was changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setting(u64);

const SWITCH_BITS: u32 = 2;

impl Setting {
    fn number(self) -> u64 {
        self.0 >> SWITCH_BITS
    }

    pub fn switch(self) -> Switch {
        match self.0 & 3 {
            1 => Switch::Down,
            2 => Switch::Drain,
            _ => Switch::Up,
        }
    }

    fn next(self, switch: Switch) -> Setting {
        let bits = match switch {
            Switch::Up => 0,
            Switch::Down => 1,
            Switch::Drain => 2,
        };
        Setting(self.number().wrapping_add(1) << SWITCH_BITS | bits)
    }
}

/// About one change.
#[derive(Debug, Default)]
#[repr(C)]
struct Note {
    at: AtomicU64,
    by: [AtomicU64; 2],
    /// Of these and of the number of the change.
    sum: AtomicU64,
}

impl SharedSwitch {
    #[inline]
    pub(crate) fn setting(&self) -> Setting {
        Setting(self.setting.load(Ordering::Acquire))
    }

    /// What the operator wants.
    pub fn get(&self) -> Switch {
        self.setting().switch()
    }

    /// Changes it. Returns what it was; if that is the same, nothing has changed.
    pub fn set(&self, switch: Switch, at: Instant, by: [u8; 16]) -> Switch {
        let mut current = self.setting();
        let next = loop {
            if current.switch() == switch {
                return switch;
            }
            let next = current.next(switch);
            match self.setting.compare_exchange(current.0, next.0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break next,
                Err(other) => current = Setting(other),
            }
        };
        if let Some(note) = self.note(next) {
            let (at, by) = (at.as_micros(), halves(by));
            note.at.store(at, Ordering::Release);
            note.by.iter().zip(by).for_each(|(half, value)| half.store(value, Ordering::Release));
            note.sum.store(sum([next.number(), at, by[0], by[1]]), Ordering::Release);
        }
        current.switch()
    }

    /// The last change; `None`: there was none, or what is known of it is not whole.
    pub fn switched(&self) -> Option<Switched> {
        let setting = self.setting();
        let note = self.note(setting).filter(|_| setting.number() > 0)?;
        let expected = note.sum.load(Ordering::Acquire);
        let at = note.at.load(Ordering::Acquire);
        let [first, second] =
            [0, 1].map(|half: usize| note.by.get(half).map_or(0, |half| half.load(Ordering::Acquire)));
        let is_whole = expected == sum([setting.number(), at, first, second]);
        let by = (u128::from(first) << 64 | u128::from(second)).to_be_bytes();
        is_whole.then_some(Switched { at: Instant::from_micros(at), by })
    }

    /// Each change has another note than the one before, so that two at once do not mix theirs.
    fn note(&self, setting: Setting) -> Option<&Note> {
        self.notes.get(usize::from(setting.number() & 1 == 1))
    }
}

fn halves(address: [u8; 16]) -> [u64; 2] {
    let all = u128::from_be_bytes(address);
    [all >> 64, all & u128::from(u64::MAX)].map(|half| u64::try_from(half).unwrap_or(0))
}

/// It is never 0 for a change, whose number is not 0.
fn sum(values: [u64; 4]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let [number, rest @ ..] = values;
    let mixed = rest.iter().fold(0u64, |sum, value| (sum ^ value).wrapping_mul(ODD).rotate_left(29));
    number.wrapping_mul(ODD).wrapping_add(mixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis.saturating_mul(1000))
    }

    #[test]
    fn the_last_change_is_known_with_its_time_and_its_address() {
        let shared = SharedSwitch::default();
        assert_eq!((shared.get(), shared.switched()), (Switch::Up, None));
        assert_eq!(shared.set(Switch::Up, at(1), [1; 16]), Switch::Up);
        assert_eq!(shared.switched(), None, "nothing has changed");
        assert_eq!(shared.set(Switch::Drain, at(2), [2; 16]), Switch::Up);
        assert_eq!(shared.set(Switch::Drain, at(3), [3; 16]), Switch::Drain);
        let by = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255];
        assert_eq!((shared.get(), shared.switched()), (Switch::Drain, Some(Switched { at: at(2), by: [2; 16] })));
        assert_eq!(shared.set(Switch::Down, at(4), by), Switch::Drain);
        assert_eq!((shared.get(), shared.switched()), (Switch::Down, Some(Switched { at: at(4), by })));
        let before = shared.setting();
        assert_eq!(shared.set(Switch::Up, at(5), [0; 16]), Switch::Down);
        assert_ne!(shared.setting(), before);
        assert_eq!(shared.switched(), Some(Switched { at: at(5), by: [0; 16] }));
    }

    #[test]
    fn a_note_that_is_not_whole_does_not_count() {
        let shared = SharedSwitch::default();
        shared.set(Switch::Down, at(1), [1; 16]);
        // The writer has died, or is not so far yet.
        shared.setting.store(shared.setting().next(Switch::Up).0, Ordering::Relaxed);
        assert_eq!((shared.get(), shared.switched()), (Switch::Up, None));
        shared.set(Switch::Down, at(3), [3; 16]);
        shared.notes[1].at.store(77, Ordering::Relaxed);
        assert_eq!((shared.get(), shared.switched()), (Switch::Down, None));
        shared.set(Switch::Up, at(4), [4; 16]);
        assert_eq!(shared.switched(), Some(Switched { at: at(4), by: [4; 16] }));
    }

    #[test]
    fn several_that_change_it_at_once_never_show_a_mixture() {
        let shared = SharedSwitch::default();
        std::thread::scope(|scope| {
            for writer in 1..=4u8 {
                let shared = &shared;
                scope.spawn(move || {
                    for n in 0..2_000u32 {
                        let switch = Switch::ALL[(n as usize + usize::from(writer)) % 3];
                        shared.set(switch, at(writer.into()), [writer; 16]);
                        if let Some(Switched { at: seen, by }) = shared.switched() {
                            assert_eq!(seen, at(by[0].into()));
                            assert!(by.iter().all(|&byte| byte == by[0]), "{by:?}");
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn names_are_those_of_the_requests() {
        for switch in Switch::ALL {
            assert_eq!(Switch::parse(switch.name().as_bytes()), Some(switch));
        }
        assert_eq!(Switch::parse(b"UP"), None);
    }
}
