//! Which items are large, as far as is known: what a reply is going to be like is not in the request.
//!
//! A get of a large item is load before its value comes: what is put behind it on its connection waits as long as the
//! value takes. Remembered are the items that were large when they were last read or stored, as many as there are slots
//! for; one that is not known, or that another client has made large since, is found out the first time.

use crate::limits::BULK;
use crate::operation::key::Key;

/// Slots for items that were large.
const SLOTS: usize = 1024;

/// Sizes of large items, by the hashes of their keys: of those that share a slot, the last one.
#[derive(Debug, Default)]
pub(crate) struct LargeItems(Vec<Slot>);

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: u32,
    /// 0: none.
    size: u32,
}

impl LargeItems {
    /// Whether no item was large so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of the item, if it was large.
    pub fn get(&self, key: &Key) -> u32 {
        if self.0.is_empty() {
            return 0;
        }
        let hash = crc32fast::hash(key.raw());
        let slot = self.0.get(hash as usize % SLOTS).copied().unwrap_or_default();
        if slot.hash == hash {
            slot.size
        } else {
            0
        }
    }

    /// The item has so many bytes.
    pub fn note(&mut self, key: &Key, size: usize) {
        let is_large = size > BULK;
        if self.0.is_empty() {
            // Without memory for it every item is taken for small.
            if !is_large || self.0.try_reserve_exact(SLOTS).is_err() {
                return;
            }
            self.0.resize(SLOTS, Slot::default());
        }
        let hash = crc32fast::hash(key.raw());
        let Some(slot) = self.0.get_mut(hash as usize % SLOTS) else { return };
        if is_large {
            *slot = Slot { hash, size: u32::try_from(size).unwrap_or(u32::MAX) };
        } else if slot.hash == hash {
            *slot = Slot::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_size_of_a_key_counts() {
        let key = |n: u32| Key::new(b"", n.to_string().as_bytes(), Vec::new()).unwrap();
        let mut items = LargeItems::default();
        items.note(&key(1), BULK);
        assert!(items.0.is_empty(), "no memory for small ones");
        items.note(&key(1), BULK + 1);
        assert_eq!((items.get(&key(1)), items.get(&key(2))), (BULK as u32 + 1, 0));
        (2..100_000).for_each(|n| items.note(&key(n), 1_000_000));
        assert_eq!(items.0.len(), SLOTS);
        items.note(&key(99_999), 10);
        assert_eq!(items.get(&key(99_999)), 0);
    }
}
