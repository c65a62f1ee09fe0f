//! What version 1.1 of the interface added: leases, marks, metadata, and operations on servers.

use super::*;
use crate::operation::lease::Lease;
use crate::operation::lease::Metadata;
use crate::operation::lease::Won;
use crate::Server;

const MISS_WON: (u32, u32, bool) = (MISS, sys::NGX_HTTP_MEMCACHE_LEASE_WON, false);

/// Finishes a lease get whose result has this status, lease and mark; with OK, the value is "moo".
fn lease((status, lease, stale): (u32, u32, bool)) -> Result<Lease, Error> {
    let mc = client();
    let mut future = pin!(mc.lease("k", 30.secs()));
    assert!(poll(future.as_mut()).is_pending());
    answer_with(0, |result| {
        result.status = status;
        result.lease = lease;
        result.stale = stale.into();
        if status == OK {
            result.value = ngx_str_t { len: 3, data: b"moo".as_ptr().cast_mut() };
        }
    });
    match poll(future) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("no answer"),
    }
}

fn moo(item: Option<&Item>) -> bool {
    item.is_some_and(|item| item.value() == b"moo" && (item.flags(), item.cas()) == (7, 17))
}

#[test]
fn leases() {
    use sys::{
        NGX_HTTP_MEMCACHE_LEASE_LOST as LOST, NGX_HTTP_MEMCACHE_LEASE_NONE as NONE, NGX_HTTP_MEMCACHE_LEASE_WON as WON,
    };

    assert!(matches!(lease((OK, NONE, false)), Ok(Lease::Hit(item)) if moo(Some(&item))));
    assert!(matches!(lease((OK, WON, false)), Ok(Lease::Won(Won { cas: 17, old, stale: false })) if moo(old.as_ref())));
    assert!(matches!(lease((OK, WON, true)), Ok(Lease::Won(Won { cas: 17, old, stale: true })) if moo(old.as_ref())));
    assert!(matches!(lease(MISS_WON), Ok(Lease::Won(Won { cas: 17, old: None, stale: false }))));
    assert!(matches!(lease((OK, LOST, true)), Ok(Lease::Lost { old, .. }) if moo(old.as_ref())));
    assert!(matches!(lease((MISS, LOST, false)), Ok(Lease::Lost { old: None, cas: 17 })));

    // Not answers of the header: nobody may take them for a hit.
    assert_eq!(lease((MISS, NONE, false)).unwrap_err(), Error::Other(sys::NGX_HTTP_MEMCACHE_INTERNAL));
    assert_eq!(lease((OK, 3, false)).unwrap_err(), Error::Other(sys::NGX_HTTP_MEMCACHE_INTERNAL));
    assert_eq!(lease((EXISTS, NONE, false)).unwrap_err(), Error::Other(EXISTS));
    assert_eq!(values(), 0);
}

#[test]
fn times_of_a_lease_are_seconds_that_memcached_takes_for_relative() {
    let asked = |vivify: Duration, recache: Option<Duration>| {
        let mc = client();
        let lease = mc.lease("k", vivify);
        let mut lease = pin!(match recache {
            Some(recache) => lease.recache(recache),
            None => lease,
        });
        assert!(poll(lease.as_mut()).is_pending());
        assert_eq!((seen(0).op, seen(0).key.as_slice()), (sys::NGX_HTTP_MEMCACHE_LEASE, &b"k"[..]));
        (seen(0).ttl, seen(0).recache)
    };
    assert_eq!(asked(30.secs(), None), (30, 0));
    assert_eq!(asked(30.secs(), Some(10.secs())), (30, 10));
    assert_eq!(asked(Duration::ZERO, Some(Duration::ZERO)), (1, 0));
    assert_eq!(asked(Duration::from_millis(1001), Some(Duration::from_millis(1))), (2, 1));
    assert_eq!(asked(Duration::MAX, Some(Duration::MAX)), (2_592_000, 2_592_000));
}

#[test]
fn a_lease_get_that_is_dropped_is_cancelled() {
    let mc = client();
    {
        let mut lease = pin!(mc.lease("k", 30.secs()));
        assert!(poll(lease.as_mut()).is_pending());
    }
    assert_eq!(cancelled(), [1]);
}

#[test]
fn a_lease_is_handed_back_in_the_way_that_fits() {
    let handed_back = |won: &Won, status: u32| {
        let mc = client();
        let mut future = pin!(mc.hand_back("k", won));
        if poll(future.as_mut()).is_ready() {
            return None;
        }
        answer(0, status, b"");
        assert_eq!(poll(future), Poll::Ready(Ok(())));
        Some((seen(0).op, seen(0).cas, seen(0).ttl))
    };
    let item = || finish(client().get("k"), OK, b"moo").unwrap();
    let stale = Won { cas: 5, old: item(), stale: true };
    let vacant = Won { cas: 6, old: None, stale: false };
    let early = Won { cas: 7, old: item(), stale: false };
    for status in [OK, EXISTS, MISS] {
        assert_eq!(handed_back(&stale, status), Some((sys::NGX_HTTP_MEMCACHE_INVALIDATE, 5, 0)));
        assert_eq!(handed_back(&vacant, status), Some((sys::NGX_HTTP_MEMCACHE_DELETE, 6, 0)));
    }
    assert_eq!(handed_back(&early, OK), None);
}

#[test]
fn marks() {
    assert_eq!(finish(client().invalidate("k"), OK, b""), Ok(true));
    assert_eq!((seen(0).op, seen(0).cas, seen(0).ttl), (sys::NGX_HTTP_MEMCACHE_INVALIDATE, 0, 0));
    assert_eq!(finish(client().invalidate("k").ttl(9.secs()), MISS, b""), Ok(false));
    assert_eq!(seen(0).ttl, 9);
    assert_eq!(finish(client().invalidate("k").ttl(9.secs()).cas(5), EXISTS, b""), Ok(Cas::Changed));
    assert_eq!((seen(0).cas, seen(0).ttl), (5, 9));
    assert_eq!(finish(client().invalidate("k").cas(0), MISS, b""), Ok(Cas::Missing));
    assert_eq!(seen(0).cas, u64::MAX);
}

#[test]
fn metadata() {
    let inspect = |ttl: u32| {
        let mc = client();
        let mut inspect = pin!(mc.inspect("k"));
        assert!(poll(inspect.as_mut()).is_pending());
        assert_eq!(seen(0).op, sys::NGX_HTTP_MEMCACHE_INSPECT);
        answer_with(0, |result| {
            (result.length, result.ttl, result.idle) = (3, ttl, 2);
            (result.fetched, result.stale, result.leased) = (1, 0, 1);
        });
        match poll(inspect) {
            Poll::Ready(answer) => answer.unwrap().unwrap(),
            Poll::Pending => panic!("no answer"),
        }
    };
    let expected =
        |ttl| Metadata { size: 3, flags: 7, cas: 17, ttl, idle: 2.secs(), fetched: true, stale: false, leased: true };
    assert_eq!(inspect(60), expected(Some(60.secs())));
    assert_eq!(inspect(0), expected(Some(Duration::ZERO)));
    assert_eq!(inspect(sys::NGX_HTTP_MEMCACHE_NEVER), expected(None));
    assert_eq!(finish(client().inspect("k"), MISS, b""), Ok(None));
}

/// The second server of a new client.
fn server() -> Server {
    client().servers().nth(1).unwrap()
}

#[test]
fn servers_answer_for_themselves() {
    assert_eq!(finish(server().noop(), OK, b""), Ok(()));
    assert_eq!((seen(0).op, seen(0).server, seen(0).key.len()), (sys::NGX_HTTP_MEMCACHE_NOOP, 1, 0));
    assert_eq!(finish(server().version(), OK, b"1.6.18"), Ok("1.6.18".to_owned()));
    assert_eq!((seen(0).op, seen(0).server), (sys::NGX_HTTP_MEMCACHE_VERSION, 1));

    let stats = finish(server().stats(), OK, b"pid 17\nversion 1.6.18\nname with spaces\nempty \nalone\n").unwrap();
    let stats: Vec<_> = stats.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [("pid", "17"), ("version", "1.6.18"), ("name", "with spaces"), ("empty", ""), ("alone", "")];
    assert_eq!(stats, expected);
    assert_eq!((seen(0).op, seen(0).server), (sys::NGX_HTTP_MEMCACHE_STATS, 1));
    assert_eq!(finish(server().stats(), OK, b""), Ok(vec![]));

    assert_eq!(finish(server().flush_all(), OK, b""), Ok(()));
    assert_eq!((seen(0).op, seen(0).server, seen(0).ttl), (sys::NGX_HTTP_MEMCACHE_FLUSH_ALL, 1, 0));
    assert_eq!(finish(server().flush_all().delay(Duration::from_millis(1500)), OK, b""), Ok(()));
    assert_eq!(seen(0).ttl, 2);
    assert_eq!(finish(server().flush_all(), MISS, b""), Err(Error::Other(MISS)));
}

/// The server with the index 2 has left the list.
pub(super) unsafe extern "C" fn servers(_client: *mut sys::ngx_http_memcache_client_t) -> ngx_uint_t {
    4
}

#[test]
fn a_server_that_has_left_leaves_a_gap() {
    assert_eq!(client().servers().map(|server| server.weight()).collect::<Vec<_>>(), [1, 2, 4]);
}
