//! A long computation, and its limits. It does not depend on nginx, tokio or memcached.
//!
//! A client chooses the work of a request, may send many requests, and may go away. So there are three limits: for the work of
//! one request, for the requests that wait for a thread, and for work whose client has gone.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;

use md5::{Digest, Md5};

/// The most rounds of one request: a tenth of a second or two.
pub const MAX_ROUNDS: u32 = 1_000_000;

/// The most work that is on threads, or waits for one, in a worker. Further requests are refused: their clients would wait
/// longer than for another attempt.
pub const MAX_WORKS: usize = 64;

/// Rounds after which a thread checks whether the caller still waits.
const STRIDE: u32 = 10_000;

/// The rounds that the arguments of a request ask for, `rounds=N`, without any 1000. `None`: no number, or too many.
pub fn asked(args: &[u8]) -> Option<u32> {
    let Some(number) = args.strip_prefix(b"rounds=") else { return args.is_empty().then_some(1000) };
    let rounds = std::str::from_utf8(number).ok()?.parse().ok()?;
    (rounds <= MAX_ROUNDS).then_some(rounds)
}

/// One of the [`MAX_WORKS`] places. The work holds it, not its caller.
pub struct Place(());

static TAKEN: AtomicUsize = AtomicUsize::new(0);

impl Place {
    /// `None`: all are taken.
    pub fn take() -> Option<Self> {
        let more = |taken: usize| taken.checked_add(1).filter(|&taken| taken <= MAX_WORKS);
        TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Place(()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The caller that waits for work, until it is dropped.
pub struct Caller(Arc<AtomicBool>);

/// The work's view of its caller.
pub struct Watch(Arc<AtomicBool>);

/// A caller, and the work's view of it.
pub fn caller() -> (Caller, Watch) {
    let gone = Arc::new(AtomicBool::new(false));
    (Caller(gone.clone()), Watch(gone))
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Watch {
    fn is_gone(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The digest of the digest, and so on. `None`: the caller has gone.
pub fn digest(mut text: Vec<u8>, rounds: u32, caller: &Watch) -> Option<Vec<u8>> {
    for round in 0..rounds {
        if round % STRIDE == 0 && caller.is_gone() {
            return None;
        }
        text = Md5::digest(&text).to_vec();
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn rounds_are_made() {
        let (_caller, watch) = caller();
        assert_eq!(digest(b"cow".to_vec(), 0, &watch).as_deref(), Some(&b"cow"[..]));
        let twice = Md5::digest(Md5::digest(b"cow")).to_vec();
        assert_eq!(digest(b"cow".to_vec(), 2, &watch), Some(twice));
    }

    #[test]
    fn r49_no_request_asks_for_more_than_there_may_be() {
        assert_eq!((asked(b""), asked(b"rounds=0"), asked(b"rounds=1000000")), (Some(1000), Some(0), Some(MAX_ROUNDS)));
        for args in ["rounds=1000001", "rounds=4294967295", "rounds=4294967296", "rounds=-1", "rounds=", "round=1"] {
            assert_eq!(asked(args.as_bytes()), None, "{args}");
        }
    }

    /// The rounds of this would take many minutes.
    #[test]
    fn r49_nobody_works_for_a_caller_who_has_gone() {
        let (caller, watch) = caller();
        let work = thread::spawn(move || digest(b"cow".to_vec(), u32::MAX, &watch));
        drop(caller);
        assert_eq!(work.join().unwrap(), None);
    }

    #[test]
    fn r49_places_are_bounded_and_come_back() {
        let places: Vec<Place> = std::iter::from_fn(Place::take).take(MAX_WORKS + 1).collect();
        assert_eq!(places.len(), MAX_WORKS);
        assert!(Place::take().is_none());
        drop(places);
        assert!(Place::take().is_some());
    }
}
