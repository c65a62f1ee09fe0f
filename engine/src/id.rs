//! What operations, connections and servers are called.

use slotmap::{Key as _, KeyData};

/// A server. At first it is its place in [`Config::servers`](crate::Config::servers).
///
/// It stays the same while the list changes, and is not given to a server of another name, unless
/// [`MAX_GONE`](crate::limits::MAX_GONE) others have gone since. The id of a server that has gone is refused.
pub type ServerId = usize;

slotmap::new_key_type! {
    /// An operation that was submitted. It is never valid again for another one.
    pub struct CallId;

    /// A connection, from [`Output::Open`](crate::Output::Open) until [`Output::Close`](crate::Output::Close) or [`Client::closed`](crate::Client::closed).
    pub struct ConnId;
}

macro_rules! as_number {
    ($($id:ident)*) => {$(
        impl $id {
            /// As a number, never 0.
            pub fn to_u64(self) -> u64 {
                self.data().as_ffi()
            }

            /// From any number; one that never was an id is unknown to the client.
            pub fn from_u64(number: u64) -> Self {
                let id: Self = KeyData::from_ffi(number).into();
                // A bit of the number is ignored there: two of them would be the same.
                if id.to_u64() == number { id } else { Self::null() }
            }
        }
    )*};
}

as_number!(CallId ConnId);
