//! How much an operation has its connection busy with: what is known of items is in
//! [`large_items`](crate::front::large_items).

use super::call::Call;
use super::state::Client;
use crate::front::large_items::LargeItems;
use crate::id::CallId;
use crate::limits::BULK;
use crate::operation::error::Error;
use crate::operation::key::Key;
use crate::operation::reply::{Answer, Lease, Outcome};
use crate::operation::request::Verb;
use crate::operation::work::Work;

impl<T> Client<T> {
    /// Bytes that an operation has a connection busy with, if these are many: of the value that it sends, or that is
    /// expected to come.
    #[inline(always)]
    pub(super) fn bulk(&self, key: Option<&Key>, work: &Work) -> u32 {
        if self.large_items.is_empty() && work.value_len() <= BULK {
            0
        } else {
            self.large(key, work)
        }
    }

    fn large(&self, key: Option<&Key>, work: &Work) -> u32 {
        match work {
            Work::Keyed(Verb::Get { .. } | Verb::Lease { .. }) => key.map_or(0, |key| self.large_items.get(key)),
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

    /// An operation has an answer, which may tell how large its item is. Returns that size, or none.
    pub(super) fn note_size(items: &mut LargeItems, call: &Call<T>, answer: &Answer) -> usize {
        let Some(key) = &call.key else { return 0 };
        let size = match answer {
            Ok(Outcome::Item(item) | Outcome::Lease(Lease::Hit(item))) => item.value.len(),
            Ok(Outcome::Miss) => 0,
            Err(Error::TooLarge { size, .. }) => *size,
            _ => return 0,
        };
        items.read(key, size);
        size
    }
}
