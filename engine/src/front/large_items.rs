//! Knowledge about large items: a request does not show the size of its reply.
//!
//! A get of a large item occupies its connection before the value comes: later requests there wait as long as the value
//! takes. The client remembers items that were large when they were last read or stored, and items that were not, up to
//! the number of slots. An unknown item counts as small, unless many unknown items were large of late. Then it counts
//! as large, so that it does not delay items that are known to be small.

use crate::limits::BULK;
use crate::operation::error::Error;
use crate::operation::key::Key;
use crate::operation::reply::{Answer, Lease, Outcome};
use crate::operation::request::Verb;
use crate::operation::work::Work;

/// Slots for known items, large or small.
const SLOTS: usize = 1024;

/// The share of large items among unknown ones is averaged over about this many.
const MEMORY: u32 = 16;
/// An average of 1.
const ALL: u32 = 4096;
/// From this average on, unknown items count as large: one in eight was.
const SUSPECT: u32 = ALL / 8;

/// Sizes of items, by the hash of their key. A slot has its last item. Nothing is stored before the first large item.
#[derive(Debug, Default)]
pub(crate) struct LargeItems {
    slots: Vec<Slot>,
    /// The share of unknown items that were large: an average in units of 1/[`ALL`].
    surprises: u32,
    /// Bytes of the last of these.
    guess: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    large: u32,
    /// 0: it is small.
    size: u32,
    small: u32,
}

impl LargeItems {
    /// Whether no item was large so far.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes of the item, if it was large or probably is; 0: it is small.
    pub fn get(&self, key: &Key) -> u32 {
        if self.slots.is_empty() {
            return 0;
        }
        let hash = crc32fast::hash(key.raw());
        let slot = self.slots.get(hash as usize % SLOTS).copied().unwrap_or_default();
        match slot.known(hash) {
            Some(size) => size,
            None if self.surprises >= SUSPECT => self.guess,
            None => 0,
        }
    }

    /// Bytes of the value that an operation sends or expects, if it is large; 0: it is not.
    #[inline(always)]
    pub fn bulk(&self, key: Option<&Key>, work: &Work) -> u32 {
        if self.is_empty() && work.value_len() <= BULK {
            0
        } else {
            self.large(key, work)
        }
    }

    fn large(&self, key: Option<&Key>, work: &Work) -> u32 {
        match work {
            Work::Keyed(Verb::Get { .. } | Verb::Lease { .. }) => key.map_or(0, |key| self.get(key)),
            Work::Keyed(Verb::Store { value, .. }) if value.len() > BULK => bytes(value.len()),
            _ => 0,
        }
    }

    /// An operation on the key has an answer, which may show the size of the item. Returns the size, or 0.
    pub fn note_answer(&mut self, key: &Key, answer: &Answer) -> usize {
        let size = match answer {
            Ok(Outcome::Item(item) | Outcome::Lease(Lease::Hit(item))) => item.value.len(),
            Ok(Outcome::Miss) => 0,
            Err(Error::TooLarge { size, .. }) => *size,
            _ => return 0,
        };
        self.read(key, size);
        size
    }

    /// The item was read and has this size.
    pub fn read(&mut self, key: &Key, size: usize) {
        let is_new = self.note(key, size);
        if is_new && !self.is_empty() {
            let share = if size > BULK { ALL / MEMORY } else { 0 };
            self.surprises = self.surprises.saturating_sub(self.surprises / MEMORY).saturating_add(share);
            if size > BULK {
                self.guess = bytes(size);
            }
        }
    }

    /// The item gets this size. Returns whether it was unknown.
    pub fn note(&mut self, key: &Key, size: usize) -> bool {
        let is_large = size > BULK;
        if self.slots.is_empty() {
            // Without memory for the table, every item counts as small.
            if !is_large || self.slots.try_reserve_exact(SLOTS).is_err() {
                return true;
            }
            self.slots.resize(SLOTS, Slot::default());
        }
        let hash = crc32fast::hash(key.raw());
        let Some(slot) = self.slots.get_mut(hash as usize % SLOTS) else { return true };
        let is_new = slot.known(hash).is_none();
        slot.note(hash, if is_large { bytes(size) } else { 0 });
        is_new
    }
}

fn bytes(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

impl Slot {
    /// Bytes of the item with this hash; 0: it is small; `None`: it is unknown.
    fn known(&self, hash: u32) -> Option<u32> {
        match self {
            Slot { large, size, .. } if *large == hash && *size > 0 => Some(*size),
            Slot { small, .. } if *small == hash => Some(0),
            _ => None,
        }
    }

    fn note(&mut self, hash: u32, size: u32) {
        if size > 0 {
            (self.large, self.size) = (hash, size);
            if self.small == hash {
                self.small = 0;
            }
        } else {
            self.small = hash;
            if self.large == hash {
                self.size = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> Key {
        Key::new(b"", n.to_string().as_bytes(), Vec::new()).unwrap()
    }

    #[test]
    fn the_last_size_of_a_key_counts() {
        let mut items = LargeItems::default();
        items.note(&key(1), BULK);
        assert!(items.is_empty(), "no memory for small ones");
        items.note(&key(1), BULK + 1);
        assert_eq!((items.get(&key(1)), items.get(&key(2))), (BULK as u32 + 1, 0));
        (2..100_000).for_each(|n| items.read(&key(n), 1_000_000));
        assert_eq!(items.slots.len(), SLOTS);
        items.note(&key(99_999), 10);
        assert_eq!(items.get(&key(99_999)), 0);
        items.note(&key(99_999), 70_000);
        assert_eq!(items.get(&key(99_999)), 70_000);
    }

    /// Row R10.
    #[test]
    fn r10_what_nothing_is_known_of_is_like_the_others() {
        let mut items = LargeItems::default();
        items.read(&key(0), 1_000_000);
        assert_eq!(items.get(&key(100)), 0, "one is none");
        (1..3).for_each(|n| items.read(&key(n), 1_000_000));
        items.read(&key(3), 10);
        assert_eq!((items.get(&key(3)), items.get(&key(100))), (0, 1_000_000));
        assert!((300..320).all(|n| items.note(&key(n), 10)));
        assert_eq!(items.get(&key(100)), 1_000_000, "what is stored tells nothing of what is there");
        // A known item says nothing about others.
        for _ in 0..100 {
            items.read(&key(3), 10);
        }
        assert_eq!(items.get(&key(100)), 1_000_000);
        (200..220).for_each(|n| items.read(&key(n), 10));
        assert_eq!((items.get(&key(100)), items.get(&key(1))), (0, 1_000_000));
        for _ in 0..100 {
            items.read(&key(1), 1_000_000);
        }
        assert_eq!(items.get(&key(100)), 0);
    }
}
