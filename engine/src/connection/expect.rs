//! Which reply belongs to a request.

use super::Pending;
use crate::client::CallId;
use crate::key::Key;
use crate::reply::Outcome;
use crate::request::{StoreMode, Verb};
use crate::wire::decode::{Code, Head, Malformed};

/// Which replies are right for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Get,
    Set,
    /// A store that has a condition other than the version.
    Conditional,
    Delete,
    Count,
    Touch,
    Version,
    /// None: the request was given up before it was encoded.
    Nothing,
}

impl Expect {
    pub fn of(verb: Option<&Verb>) -> Self {
        match verb {
            None => Expect::Version,
            Some(Verb::Get { .. }) => Expect::Get,
            Some(Verb::Store { mode: StoreMode::Set, .. }) => Expect::Set,
            Some(Verb::Store { .. }) => Expect::Conditional,
            Some(Verb::Delete { .. }) => Expect::Delete,
            Some(Verb::Count { .. }) => Expect::Count,
            Some(Verb::Touch { .. }) => Expect::Touch,
        }
    }

    /// What the line says, if it is an answer to such a request. The value of a `VA` comes later.
    pub fn outcome(self, code: Code) -> Result<Outcome, Malformed> {
        match (self, code) {
            (Expect::Get | Expect::Touch, Code::Miss) => Ok(Outcome::Miss),
            (Expect::Touch | Expect::Set | Expect::Conditional | Expect::Delete, Code::Done) => Ok(Outcome::Done),
            // A set misses only with a version to compare.
            (Expect::Set | Expect::Delete | Expect::Count | Expect::Touch, Code::NotFound) => Ok(Outcome::Miss),
            (Expect::Set | Expect::Conditional | Expect::Count, Code::NotStored) => Ok(Outcome::NotStored),
            (Expect::Set | Expect::Delete, Code::Exists) => Ok(Outcome::Exists),
            _ => Err(Malformed),
        }
    }
}

/// Whether the line is the answer to this request: by its token, and by its key where that was asked for.
pub(super) fn check<'k>(
    pending: &Pending,
    line: &Head<'_>,
    key: impl Fn(CallId) -> Option<&'k Key>,
) -> Result<(), Malformed> {
    match line.token {
        Some(token) if token == u64::from(pending.token) => {}
        // memcached before the fix of its issue 880 sends a miss without its flags.
        None if line.code == Code::Miss && line.key.is_none() => return Ok(()),
        _ => return Err(Malformed),
    }
    if pending.expect != Expect::Get {
        return Ok(());
    }
    match (line.key, pending.call.and_then(key)) {
        (None, _) if line.code == Code::Value => Err(Malformed),
        (Some(echoed), Some(key)) if !key.wire(|wire| wire == echoed) => Err(Malformed),
        _ => Ok(()),
    }
}
