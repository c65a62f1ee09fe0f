//! Items that one of many makes.

mod by_lock;

use std::cell::Cell;
use std::panic;
use std::time::Duration;

use super::*;
use crate::http::fetch::Fetched;
use crate::http::fetch::Freshness;
use crate::http::fetch::Source;

use sys::{
    NGX_HTTP_MEMCACHE_DELETE as DELETE, NGX_HTTP_MEMCACHE_INVALIDATE as INVALIDATE, NGX_HTTP_MEMCACHE_LEASE as LEASE,
    NGX_HTTP_MEMCACHE_LEASE_LOST as LOST, NGX_HTTP_MEMCACHE_LEASE_NONE as NONE, NGX_HTTP_MEMCACHE_LEASE_WON as WON,
    NGX_HTTP_MEMCACHE_SET as SET, NGX_HTTP_MEMCACHE_WAIT as WAIT,
};

const MINUTE: fn() -> Freshness = || Freshness::secs(60);

/// Answers a lease get: with OK, the value is "moo".
fn answer_lease(index: usize, status: u32, lease: u32, stale: bool) {
    answer_with(index, |result| {
        (result.status, result.lease, result.stale) = (status, lease, stale.into());
        if status == OK {
            result.value = ngx_str_t { len: 3, data: b"moo".as_ptr().cast_mut() };
        }
    });
}

type Fetching<'f> = Pin<Box<dyn Future<Output = Result<Fetched, Error>> + 'f>>;

/// Fetches, answers the first lease get, and polls again: the result, if there is one already.
fn fetch<'f>(
    freshness: Freshness,
    compute: impl AsyncFnOnce() -> Result<&'static str, Error> + 'f,
    (status, lease, stale): (u32, u32, bool),
) -> (Fetching<'f>, Poll<Result<Fetched, Error>>) {
    let mc = client();
    let mut future: Pin<Box<dyn Future<Output = _>>> = Box::pin(async move { mc.fetch("k", freshness, compute).await });
    assert!(poll(future.as_mut()).is_pending());
    if status > EXISTS {
        answer(0, status, b"");
    } else {
        answer_lease(0, status, lease, stale);
    }
    let polled = poll(future.as_mut());
    (future, polled)
}

/// Value and source of what was fetched.
fn told(polled: Poll<Result<Fetched, Error>>) -> Result<(Vec<u8>, Source), Error> {
    match polled {
        Poll::Ready(result) => result.map(|fetched| (fetched.value().to_vec(), fetched.source())),
        Poll::Pending => panic!("no answer"),
    }
}

async fn nobody() -> Result<&'static str, Error> {
    panic!("must not be computed")
}

async fn muh() -> Result<&'static str, Error> {
    Ok("muh")
}

async fn forever() -> Result<&'static str, Error> {
    std::future::pending().await
}

fn ops() -> Vec<(u32, u64)> {
    FAKE.with_borrow(|fake| fake.calls.iter().map(|seen| (seen.op, seen.cas)).collect())
}

#[test]
fn what_is_there_is_used() {
    let hit = fetch(MINUTE(), nobody, (OK, NONE, false)).1;
    assert_eq!(told(hit), Ok((b"moo".to_vec(), Source::Cache)));
    assert_eq!((seen(0).op, seen(0).options, seen(0).ttl, seen(0).recache), (LEASE, WAIT, 10, 0));
    assert_eq!(seen(0).timeout, 0);

    let stale =
        fetch(MINUTE().refresh_ahead(9).compute_within(Duration::from_millis(1500)), nobody, (OK, LOST, true)).1;
    assert_eq!(told(stale), Ok((b"moo".to_vec(), Source::Stale)));
    assert_eq!((seen(0).ttl, seen(0).recache), (2, 9));
    assert_eq!(values(), 0);
}

#[test]
fn the_winner_makes_it_and_stores_it() {
    for (status, stale) in [(MISS, false), (OK, true), (OK, false)] {
        let (mut future, polled) = fetch(MINUTE(), muh, (status, WON, stale));
        assert!(polled.is_pending());
        assert_eq!((seen(1).op, seen(1).cas, seen(1).ttl, seen(1).value.as_slice()), (SET, 17, 60, &b"muh"[..]));
        answer(1, OK, b"");
        assert_eq!(told(poll(future.as_mut())), Ok((b"muh".to_vec(), Source::Made)));
        drop(future);
        assert_eq!((ops().len(), cancelled()), (2, vec![]));
    }
}

#[test]
fn somebody_who_was_faster_is_left_alone() {
    for status in [EXISTS, MISS] {
        let (mut future, _) = fetch(MINUTE(), muh, (MISS, WON, false));
        answer(1, status, b"");
        assert_eq!(told(poll(future.as_mut())), Ok((b"muh".to_vec(), Source::MadeAlone)));
        drop(future);
        assert_eq!(ops().len(), 2);
    }
}

#[test]
fn a_lease_is_handed_back_whatever_ends_the_winner() {
    let expected = |stale| if stale { (INVALIDATE, 17) } else { (DELETE, 17) };
    for (status, stale) in [(MISS, false), (OK, true)] {
        // It fails.
        let failed = fetch(MINUTE(), async || Err(Error::Busy), (status, WON, stale)).1;
        assert_eq!(told(failed), Err(Error::Busy));
        assert_eq!(ops(), [(LEASE, 0), expected(stale)]);
        assert!(seen(1).data.is_null());
        answer(1, OK, b"");

        // It is dropped.
        let (future, polled) = fetch(MINUTE(), forever, (status, WON, stale));
        assert!(polled.is_pending());
        assert_eq!(ops().len(), 1);
        drop(future);
        assert_eq!(ops(), [(LEASE, 0), expected(stale)]);

        // It is dropped while it stores.
        drop(fetch(MINUTE(), muh, (status, WON, stale)));
        assert_eq!((ops(), cancelled()), (vec![(LEASE, 0), (SET, 17), expected(stale)], vec![2]));

        // It cannot store.
        let (mut future, _) = fetch(MINUTE(), muh, (status, WON, stale));
        answer(1, sys::NGX_HTTP_MEMCACHE_TIMEOUT, b"");
        assert_eq!(told(poll(future.as_mut())), Ok((b"muh".to_vec(), Source::MadeAlone)));
        assert_eq!(ops(), [(LEASE, 0), (SET, 17), expected(stale)]);

        // It panics.
        let panicked = panic::catch_unwind(|| drop(fetch(MINUTE(), nobody, (status, WON, stale))));
        assert!(panicked.is_err());
        assert_eq!(ops(), [(LEASE, 0), expected(stale)]);
    }
    assert_eq!(values(), 0);
}

#[test]
fn an_item_that_is_still_good_is_used_if_it_cannot_be_made_anew() {
    let failed = fetch(MINUTE(), async || Err(Error::Busy), (OK, WON, false)).1;
    assert_eq!(told(failed), Ok((b"moo".to_vec(), Source::Cache)));
    drop(fetch(MINUTE(), forever, (OK, WON, false)));
    assert_eq!(ops(), [(LEASE, 0)]);
}

#[test]
fn a_loser_waits_until_the_time_is_over() {
    let calls = Cell::new(0);
    let compute = async || {
        calls.set(calls.get() + 1);
        Ok("muh")
    };
    let (mut future, polled) = fetch(MINUTE(), compute, (MISS, LOST, false));
    assert!(polled.is_pending());
    assert_eq!((seen(1).op, seen(1).options, calls.get()), (LEASE, WAIT, 0));
    assert!((9_000..=10_000).contains(&seen(1).timeout), "{}", seen(1).timeout);

    answer_lease(1, MISS, LOST, false);
    assert_eq!(told(poll(future.as_mut())), Ok((b"muh".to_vec(), Source::MadeAlone)));
    assert_eq!((ops().len(), calls.get()), (2, 1));
}

#[test]
fn without_memcached_everybody_is_alone() {
    let down = sys::NGX_HTTP_MEMCACHE_SERVER_DOWN;
    let alone = fetch(MINUTE(), muh, (down, 0, false)).1;
    assert_eq!(told(alone), Ok((b"muh".to_vec(), Source::MadeAlone)));
    assert_eq!(told(fetch(MINUTE().fail_when_down(), nobody, (down, 0, false)).1), Err(Error::ServerDown));
    assert_eq!(ops().len(), 1);

    let mc = client();
    FAKE.with_borrow_mut(|fake| fake.refuse = sys::NGX_HTTP_MEMCACHE_INVALID_KEY);
    assert_eq!(
        told(poll(pin!(mc.fetch("", MINUTE(), nobody)))),
        Err(Error::InvalidKey { len: Some(0), why: [].into() })
    );
}

#[test]
fn errors_of_the_computation_may_be_of_any_type() {
    #[derive(Debug, PartialEq)]
    enum Mine {
        Teapot,
        Memcached(Error),
    }
    impl From<Error> for Mine {
        fn from(error: Error) -> Self {
            Mine::Memcached(error)
        }
    }
    let fetch = |status, freshness| {
        let mc = client();
        let mut future = pin!(mc.fetch("k", freshness, async || Err::<u64, _>(Mine::Teapot)));
        assert!(poll(future.as_mut()).is_pending());
        answer(0, status, b"");
        match poll(future) {
            Poll::Ready(result) => result.unwrap_err(),
            Poll::Pending => panic!("no answer"),
        }
    };
    assert_eq!(fetch(sys::NGX_HTTP_MEMCACHE_BUSY, MINUTE()), Mine::Teapot);
    assert_eq!(fetch(sys::NGX_HTTP_MEMCACHE_BUSY, MINUTE().fail_when_down()), Mine::Memcached(Error::Busy));
}

#[test]
fn made_values_are_what_would_be_read() {
    let mc = client();
    let mut future = pin!(mc.fetch("k", MINUTE(), async || Ok::<_, Error>(42_u64)));
    assert!(poll(future.as_mut()).is_pending());
    answer(0, sys::NGX_HTTP_MEMCACHE_BUSY, b"");
    let Poll::Ready(Ok(fetched)) = poll(future) else { panic!("no answer") };
    assert_eq!((fetched.value(), fetched.flags()), (&b"42"[..], 2));
    assert_eq!(fetched.decode::<u64>(), Ok(42));
}
