//! The same on a server without leases.

use super::*;

use sys::{NGX_HTTP_MEMCACHE_ADD as ADD, NGX_HTTP_MEMCACHE_GET as GET, NGX_HTTP_MEMCACHE_UNSUPPORTED as UNSUPPORTED};

const DOWN: u32 = sys::NGX_HTTP_MEMCACHE_SERVER_DOWN;
const NOT_STORED: u32 = sys::NGX_HTTP_MEMCACHE_NOT_STORED;

/// Fetches, and answers these in order, from the lease get on; then the rest is polled.
fn fetched<'f>(
    freshness: Freshness,
    compute: impl AsyncFnOnce() -> Result<&'static str, Error> + 'f,
    answers: &[u32],
) -> (Fetching<'f>, Poll<Result<Fetched, Error>>) {
    let (mut future, mut polled) = fetch(freshness, compute, (UNSUPPORTED, 0, false));
    for (n, &status) in answers.iter().enumerate() {
        assert!(polled.is_pending(), "answer {n}");
        answer(n + 1, status, if status == OK { b"moo" } else { b"" });
        polled = poll(future.as_mut());
    }
    (future, polled)
}

fn asked() -> Vec<(u32, String)> {
    let key = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
    FAKE.with_borrow(|fake| fake.calls.iter().skip(1).map(|seen| (seen.op, key(&seen.key))).collect())
}

fn list(ops: &[(u32, &str)]) -> Vec<(u32, String)> {
    ops.iter().map(|&(op, key)| (op, key.to_string())).collect()
}

#[test]
fn what_is_there_is_used() {
    let (_, hit) = fetched(MINUTE(), nobody, &[OK]);
    assert_eq!(told(hit), Ok((b"moo".to_vec(), Source::Cache)));
    // Somebody has stored it since it was looked for, and the lock is given back.
    let (_, hit) = fetched(MINUTE(), nobody, &[MISS, OK, OK]);
    assert_eq!(told(hit), Ok((b"moo".to_vec(), Source::Cache)));
    assert_eq!(asked(), list(&[(GET, "k"), (ADD, "!lock:k"), (GET, "k"), (DELETE, "!lock:k")]));
}

#[test]
fn who_has_the_lock_makes_it_and_adds_it() {
    for (status, source) in [(OK, Source::Made), (NOT_STORED, Source::MadeAlone), (DOWN, Source::MadeAlone)] {
        let (future, polled) = fetched(MINUTE(), muh, &[MISS, OK, MISS, status]);
        assert_eq!(told(polled), Ok((b"muh".to_vec(), source)));
        drop(future);
        let all = [(GET, "k"), (ADD, "!lock:k"), (GET, "k"), (ADD, "k"), (DELETE, "!lock:k")];
        assert_eq!(asked(), list(&all));
        assert_eq!((seen(2).ttl, seen(4).ttl, seen(4).value.as_slice()), (11, 60, &b"muh"[..]));
    }
}

#[test]
fn the_lock_is_given_back_whatever_ends_the_winner() {
    let last = || asked().pop().unwrap();
    let unlocked = || (DELETE, "!lock:k".to_string());
    let (_, failed) = fetched(MINUTE(), async || Err(Error::Busy), &[MISS, OK, MISS]);
    assert_eq!((told(failed), last()), (Err(Error::Busy), unlocked()));
    let (future, _) = fetched(MINUTE(), forever, &[MISS, OK, MISS]);
    assert_eq!(last().0, GET);
    drop(future);
    assert_eq!(last(), unlocked());
    assert!(panic::catch_unwind(|| drop(fetched(MINUTE(), nobody, &[MISS, OK, MISS]))).is_err());
    assert_eq!(last(), unlocked());
    // It is lost behind the lock.
    let (_, failed) = fetched(MINUTE().fail_when_down(), nobody, &[MISS, OK, DOWN]);
    assert_eq!((told(failed), last()), (Err(Error::ServerDown), unlocked()));
}

/// Here, where no time passes, it waits no longer than one look.
#[test]
fn who_has_waited_long_enough_makes_it_too() {
    for (status, source) in [(OK, Source::Made), (NOT_STORED, Source::MadeAlone)] {
        let (_, late) = fetched(MINUTE(), muh, &[MISS, NOT_STORED, status]);
        assert_eq!(told(late), Ok((b"muh".to_vec(), source)));
        assert_eq!(asked(), list(&[(GET, "k"), (ADD, "!lock:k"), (ADD, "k")]));
    }
}

#[test]
fn without_a_server_everybody_is_alone() {
    let (_, alone) = fetched(MINUTE(), muh, &[DOWN]);
    assert_eq!(told(alone), Ok((b"muh".to_vec(), Source::MadeAlone)));
    // The lock's server is down, and the item's is not.
    let (_, made) = fetched(MINUTE(), muh, &[MISS, DOWN, OK]);
    assert_eq!(told(made), Ok((b"muh".to_vec(), Source::Made)));
    assert_eq!(asked(), list(&[(GET, "k"), (ADD, "!lock:k"), (ADD, "k")]));
    for answers in [&[DOWN][..], &[MISS, DOWN]] {
        let (_, failed) = fetched(MINUTE().fail_when_down(), nobody, answers);
        assert_eq!(told(failed), Err(Error::ServerDown));
    }
}

#[test]
fn a_lock_is_no_longer_than_the_longest_key() {
    let invalid = sys::NGX_HTTP_MEMCACHE_INVALID_KEY;
    let mut keys = Vec::new();
    for key in ["k".repeat(249) + "1", "k".repeat(249) + "2", "short".into()] {
        let mc = client();
        let mut future = pin!(mc.fetch(&key, MINUTE(), forever));
        for (n, status) in [UNSUPPORTED, MISS, invalid].into_iter().enumerate() {
            assert!(poll(future.as_mut()).is_pending());
            answer(n, status, b"");
        }
        assert!(poll(future.as_mut()).is_pending());
        keys.push(String::from_utf8(seen(3).key.clone()).unwrap());
    }
    assert!(keys[0].starts_with(&("!lock:".to_owned() + &"k".repeat(228))) && keys[0].len() == 250);
    assert!(keys[0] != keys[1] && keys[1].len() == 250);
    assert_eq!(keys[2].len(), 22);
}
