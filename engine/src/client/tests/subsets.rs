//! Some of a client's servers, with a routing of their own.

use std::num::NonZeroU32;

use super::*;
use crate::config::{Failover, Hash};
use crate::operation::reply::Lease;
use crate::route::subset::{SubsetError, MAX_SUBSETS};

const LEASE: Verb = Verb::Lease { vivify: NonZeroU32::new(30).unwrap(), recache: 0, wait: true };

/// Three servers: foo and key1 belong to server 1, cow to 0, key0 to 2. Of servers 0 and 2, foo and key0 belong to
/// server 2, cow and key1 to 0.
fn three() -> Config {
    config(&[&["max=1"], &["max=1"], &["max=1"]])
}

fn get_within(w: &mut World, subset: Subset, key: &str, tag: u32) -> Result<CallId, Error> {
    submit_within(w, subset, key, Verb::Get { touch: None }, tag)
}

fn submit_within(w: &mut World, subset: Subset, key: &str, verb: Verb, tag: u32) -> Result<CallId, Error> {
    let request = Request { key: key.as_bytes(), verb, timeout: None };
    let call = w.client.submit_within(subset, request, tag, w.now).map_err(|rejected| rejected.error);
    w.outputs();
    call
}

#[test]
fn the_same_servers_are_the_same_subset() {
    let mut w = world(three());
    let some = w.client.subset(Subset::ALL, &[2, 0]).unwrap();
    assert_eq!(w.client.servers_of(some), [0, 2], "in the order of the configuration");
    assert_eq!(w.client.subset(Subset::ALL, &[0, 2]), Ok(some));
    assert_eq!(w.client.subset(some, &[1, 0]), Ok(some));
    assert_eq!(w.client.subset(Subset::ALL, &[2, 1, 0]), Ok(Subset::ALL));
    let last = w.client.subset(some, &[1]).unwrap();
    assert_eq!(w.client.servers_of(last), [2], "a subset's servers are counted in it");
    assert_eq!(w.client.subset(Subset::ALL, &[2]), Ok(last));
    assert_eq!((Subset::ALL.index(), some.index(), last.index()), (0, 1, 2));
}

#[test]
fn what_is_no_subset() {
    let mut w = world(three());
    let some = w.client.subset(Subset::ALL, &[0, 2]).unwrap();
    for (of, servers) in [
        (Subset::ALL, &[][..]),
        (Subset::ALL, &[0, 0]),
        (Subset::ALL, &[0, 1, 0]),
        (Subset::ALL, &[3]),
        (Subset::ALL, &[0, usize::MAX]),
        (some, &[2]),
        (Subset::from_index(2), &[0]),
        (Subset::from_index(usize::MAX), &[0]),
    ] {
        assert_eq!(w.client.subset(of, servers), Err(SubsetError::Servers), "{of:?} {servers:?}");
    }
    assert_eq!(get_within(&mut w, Subset::from_index(2), "foo", 1), Err(Error::NoSuchServer));
    assert_eq!(w.client.server_within(Subset::from_index(2), b"foo"), Err(Error::NoSuchServer));
    assert!(w.client.servers_of(Subset::from_index(2)).is_empty());
}

#[test]
fn there_are_so_many_and_no_more() {
    let params: &[&str] = &[];
    let mut w = world(config(&[params; MAX_SUBSETS + 1]));
    for n in 0..MAX_SUBSETS {
        assert_eq!(w.client.subset(Subset::ALL, &[n]).map(Subset::index), Ok(n + 1));
    }
    assert_eq!(w.client.subset(Subset::ALL, &[MAX_SUBSETS]), Err(SubsetError::TooMany));
    assert_eq!(w.client.subset(Subset::ALL, &[5]).map(Subset::index), Ok(6), "those that there are");
    let all: Vec<usize> = (0..=MAX_SUBSETS).collect();
    assert_eq!(w.client.subset(Subset::ALL, &all), Ok(Subset::ALL));
}

/// With each hash, a subset routes as a client does that has just these servers.
#[test]
fn keys_are_where_a_client_with_these_servers_has_them() {
    for hash in Hash::ALL {
        let weights: &[&[&str]] = match hash {
            Hash::OneAtATime | Hash::Rendezvous => &[&[], &[], &[], &[]],
            _ => &[&["weight=3"], &["weight=1"], &["weight=2"], &["weight=5"]],
        };
        let mut all = config(weights);
        all.hash = hash;
        let chosen = [0, 2, 3];
        let mut some = all.clone();
        some.servers = chosen.iter().map(|&n| all.servers[n].clone()).collect();
        let some = world(some);
        let mut w = world(all);
        let subset = w.client.subset(Subset::ALL, &chosen).unwrap();
        let mut moved = 0;
        for n in 0..500 {
            let key = format!("key{n}").into_bytes();
            let server = w.client.server_within(subset, &key).unwrap();
            assert_eq!(server, chosen[some.client.server_of(&key).unwrap()], "{hash:?} {n}");
            moved += usize::from(server != w.client.server_of(&key).unwrap());
        }
        assert!(moved > 0, "{hash:?}");
    }
}

#[test]
fn it_has_no_connections_of_its_own() {
    let mut w = world(three());
    let some = w.client.subset(Subset::ALL, &[0, 2]).unwrap();
    get_within(&mut w, some, "foo", 1).unwrap();
    w.get("key0", 2);
    assert_eq!(w.opened.iter().map(|o| o.1).collect::<Vec<_>>(), [2]);
    w.accept(0);
    let out = w.written(0);
    assert!(out.starts_with("mg foo ") && out.contains("\r\nmg key0 "), "{out}");
    assert_eq!(w.view_of(2).stats().operations.get, 2);
    assert_eq!(w.view_of(1).stats().operations.get, 0);
}

/// Neither what is submitted while a server is down, nor what waits for it then, leaves the subset.
#[test]
fn failover_stays_within_it() {
    let mut config = three();
    config.failover = Failover::Next;
    let mut w = world(config);
    let some = w.client.subset(Subset::ALL, &[0, 2]).unwrap();
    get_within(&mut w, some, "cow", 1).unwrap();
    assert_eq!(w.opened[0].1, 0);
    w.lose(0, Loss::Refused);
    assert_eq!(w.opened[1].1, 2, "not server 1, which is the next of the list");
    get_within(&mut w, some, "cow", 2).unwrap();
    assert_eq!(w.opened.len(), 2);
    w.get("cow", 3);
    assert_eq!(w.opened[2].1, 1, "which is that of all servers");
    w.lose(1, Loss::Refused);
    assert_eq!(w.done(), [(1, Err(Error::ServerDown)), (2, Err(Error::ServerDown))]);
    assert_eq!(get_within(&mut w, some, "cow", 4), Err(Error::ServerDown));
    assert!(w.submit("key0", set("v"), 5).is_ok());
}

/// Gets share an exchange where they go to the same server, and nowhere else.
#[test]
fn gets_of_different_servers_do_not_share() {
    let mut config = three();
    config.coalesce = true;
    let mut w = world(config);
    let some = w.client.subset(Subset::ALL, &[0, 2]).unwrap();
    w.get("foo", 1);
    get_within(&mut w, some, "foo", 2).unwrap();
    w.get("foo", 3);
    get_within(&mut w, some, "key0", 4).unwrap();
    w.get("key0", 5);
    assert_eq!(w.opened.iter().map(|o| o.1).collect::<Vec<_>>(), [1, 2]);
    for (n, keys) in [(0, vec!["foo", "foo"]), (1, vec!["foo", "key0"])] {
        w.accept(n);
        let out = w.written(n);
        assert_eq!(out.lines().map(|line| line.split(' ').nth(1).unwrap()).collect::<Vec<_>>(), keys, "{out}");
        for (t, key) in tokens(&out).iter().zip(keys) {
            w.reply(n, &format!("VA 1 f0 c1 k{key} O{t}\r\n{n}\r\n"));
        }
    }
    let mut done = w.done();
    done.sort_by_key(|(n, _)| *n);
    let from = ["0", "1", "0", "1", "1"];
    assert_eq!(done, (1..).zip(from).map(|(n, value)| (n, item(value, 0, 1))).collect::<Vec<_>>());
    assert_eq!(w.view_of(2).stats().coalesced, 1, "key0 is on server 2 either way");
}

/// A write is seen by the gets behind it, whichever subset they come by.
#[test]
fn a_get_behind_a_write_of_another_subset_asks_anew() {
    let mut config = three();
    config.coalesce = true;
    let mut w = world(config);
    let some = w.client.subset(Subset::ALL, &[0, 2]).unwrap();
    w.get("key0", 1);
    submit_within(&mut w, some, "key0", set("v"), 2).unwrap();
    w.get("key0", 3);
    w.accept(0);
    assert_eq!(w.written(0).matches("mg key0 ").count(), 2);
}

/// What waits for an item on one server is not given that of another.
#[test]
fn those_who_wait_wait_for_their_own_server() {
    let mut w = world(three());
    let some = w.client.subset(Subset::ALL, &[0, 2]).unwrap();
    w.submit("foo", LEASE, 1).unwrap();
    submit_within(&mut w, some, "foo", LEASE, 2).unwrap();
    for n in 0..2 {
        w.accept(n);
        let t = tokens(&w.written(n));
        w.reply(n, &format!("VA 0 f0 c5 kfoo O{} Z\r\n\r\n", t[0]));
    }
    assert_eq!((w.done(), w.client.lease_waits.keys()), (vec![], 2));

    // A store through the subset wakes who waits in it.
    submit_within(&mut w, some, "foo", set("moo"), 3).unwrap();
    let t = tokens(&w.written(1));
    w.reply(1, &format!("HD O{}\r\n", t[0]));
    assert_eq!(w.written(0), "");
    let t = tokens(&w.written(1));
    w.reply(1, &format!("VA 3 f0 c6 kfoo O{}\r\nmoo\r\n", t[0]));
    let hit = Lease::Hit(Item { value: "moo".into(), flags: 0, cas: 6 });
    assert_eq!(w.done(), [(3, Ok(Outcome::Done)), (2, Ok(Outcome::Lease(hit)))]);
    assert_eq!(w.client.lease_waits.keys(), 1, "who asked server 1 still waits");
    w.wait(Duration::from_secs(2));
    assert_eq!(w.done().len(), 1);
    assert!(w.client.lease_waits.is_empty());
}

/// The other side of a lease is the server that gave it.
#[test]
fn a_lease_is_not_handed_back_to_a_server_that_stands_in() {
    let mut config = three();
    config.failover = Failover::Next;
    let mut w = world(config);
    let call = w.submit("foo", LEASE, 1).unwrap();
    w.accept(0);
    let t = tokens(&w.written(0));
    w.cancel(call);
    w.reply(0, &format!("VA 0 f0 c5 kfoo O{} W\r\n\r\n", t[0]));
    w.client.set_enabled(1, false, w.now);
    w.lose(0, Loss::Error);
    w.wait(Duration::from_secs(1));
    assert!(w.opened.iter().all(|o| o.1 == 1), "{:?}", w.opened);
    assert_eq!((w.done(), w.client.pending()), (vec![], 0));
}
