//! Which items are large, as far as is known: what a reply is going to be like is not in the request.
//!
//! A get of a large item is load before its value comes: what is put behind it on its connection waits as long as the
//! value takes. Remembered are the items that were large when they were last read or stored, as many as there are places
//! for; one that is not known, or that another client has made large since, is found out the first time.

use super::{Call, Client};
use crate::id::CallId;
use crate::limits::BULK;
use crate::operation::error::Error;
use crate::operation::key::Key;
use crate::operation::reply::{Answer, Lease, Outcome};
use crate::operation::request::Verb;
use crate::operation::work::Work;

/// Places for items that were large.
const PLACES: usize = 1024;

/// Sizes of large items, by the hashes of their keys: of those that share a place, the last one.
#[derive(Debug, Default)]
pub(super) struct Sizes(Vec<Place>);

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    hash: u32,
    /// 0: none.
    size: u32,
}

impl Sizes {
    /// Bytes of the item, if it was large.
    fn get(&self, key: &Key) -> u32 {
        if self.0.is_empty() {
            return 0;
        }
        let hash = crc32fast::hash(key.raw());
        let place = self.0.get(hash as usize % PLACES).copied().unwrap_or_default();
        if place.hash == hash {
            place.size
        } else {
            0
        }
    }

    /// The item has so many bytes.
    pub fn note(&mut self, key: &Key, size: usize) {
        let is_large = size > BULK;
        if self.0.is_empty() {
            // Without memory for it every item is taken for small.
            if !is_large || self.0.try_reserve_exact(PLACES).is_err() {
                return;
            }
            self.0.resize(PLACES, Place::default());
        }
        let hash = crc32fast::hash(key.raw());
        let Some(place) = self.0.get_mut(hash as usize % PLACES) else { return };
        if is_large {
            *place = Place { hash, size: u32::try_from(size).unwrap_or(u32::MAX) };
        } else if place.hash == hash {
            *place = Place::default();
        }
    }
}

impl<T> Client<T> {
    /// Bytes that an operation has a connection busy with, if these are many: of the value that it sends, or that is
    /// expected to come.
    #[inline(always)]
    pub(super) fn bulk(&self, key: Option<&Key>, work: &Work) -> u32 {
        if self.sizes.0.is_empty() && work.value_len() <= BULK {
            0
        } else {
            self.large(key, work)
        }
    }

    fn large(&self, key: Option<&Key>, work: &Work) -> u32 {
        match work {
            Work::Keyed(Verb::Get { .. } | Verb::Lease { .. }) => key.map_or(0, |key| self.sizes.get(key)),
            Work::Keyed(Verb::Store { value, .. }) if value.len() > BULK => {
                u32::try_from(value.len()).unwrap_or(u32::MAX)
            }
            _ => 0,
        }
    }

    /// The same for one that is known already.
    pub(super) fn bulk_of(&self, call: CallId) -> u32 {
        let call = self.calls.get(call);
        call.and_then(|call| Some(self.bulk(call.key.as_ref(), call.work()?))).unwrap_or(0)
    }

    /// An operation has an answer, which may tell how large its item is.
    pub(super) fn note_size(sizes: &mut Sizes, call: &Call<T>, answer: &Answer) {
        let Some(key) = &call.key else { return };
        let size = match answer {
            Ok(Outcome::Item(item) | Outcome::Lease(Lease::Hit(item))) => item.value.len(),
            Ok(Outcome::Miss) => 0,
            Err(Error::TooLarge { size, .. }) => *size,
            _ => return,
        };
        sizes.note(key, size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_size_of_a_key_counts() {
        let key = |n: u32| Key::new(b"", n.to_string().as_bytes(), Vec::new()).unwrap();
        let mut sizes = Sizes::default();
        sizes.note(&key(1), BULK);
        assert!(sizes.0.is_empty(), "no memory for small ones");
        sizes.note(&key(1), BULK + 1);
        assert_eq!((sizes.get(&key(1)), sizes.get(&key(2))), (BULK as u32 + 1, 0));
        (2..100_000).for_each(|n| sizes.note(&key(n), 1_000_000));
        assert_eq!(sizes.0.len(), PLACES);
        sizes.note(&key(99_999), 10);
        assert_eq!(sizes.get(&key(99_999)), 0);
    }
}
