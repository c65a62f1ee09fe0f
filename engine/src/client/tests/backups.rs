//! Backup servers: where operations go, and how long items live there.

use std::num::NonZeroU32;

use super::*;
use crate::config::{Failover, Hash, MembershipError, Protocol};
use crate::metrics::counter::Memory;
use crate::operation::request::Direction;
use crate::route::subset::SubsetError;
use crate::server::{ServerMemory, WorkerMemory};
use crate::shared::SharedHealth;

/// Servers 0 to 2, of which foo and key1 belong to 1, cow to 0, key0 to 2; and the backups 3 and 4, of which 3 is asked
/// for foo first.
fn five() -> World {
    let backup = &["max=1", "backup"][..];
    let mut config = config(&[&["max=1"], &["max=1"], &["max=1"], backup, backup]);
    config.failover = Failover::Backup;
    // By its name, the last one is the first that is asked for foo.
    config.servers.swap(3, 4);
    world(config)
}

/// The connection to this server that was requested last.
fn latest(w: &World, server: ServerId) -> usize {
    w.opened.iter().rposition(|opened| opened.1 == server).unwrap()
}

fn goes_down(w: &mut World, server: ServerId) {
    let n = latest(w, server);
    w.lose(n, Loss::Refused);
    assert_eq!(w.view_of(server).state, State::Down);
}

fn comes_back(w: &mut World, server: ServerId) {
    w.wait(Duration::from_secs(7));
    let probe = latest(w, server);
    w.accept(probe);
    assert_eq!(w.view_of(server).state, State::Live);
}

/// What is sent to this server now: lines without tokens. Each is answered by a miss.
fn asked(w: &mut World, server: ServerId) -> Vec<String> {
    let n = latest(w, server);
    if w.view_of(server).open == 0 {
        w.accept(n);
    }
    let out = w.written(n);
    let of_requests = out.split("\r\n").filter_map(|line| line.rsplit_once(" O"));
    let lines = of_requests.map(|(line, token)| {
        let miss = if line.starts_with("ms") { "NS" } else { "EN" };
        (line.to_string(), format!("{miss} O{token}\r\n"))
    });
    let (lines, misses): (Vec<_>, Vec<_>) = lines.unzip();
    misses.iter().for_each(|miss| w.reply(n, miss));
    lines
}

/// Who has answered: the server, and whether it is a stand-in.
fn who(w: &mut World) -> Vec<(u32, ServerId, bool)> {
    std::iter::from_fn(|| w.client.poll_completion()).map(|done| (done.context, done.server, done.stand_in)).collect()
}

fn touch(secs: u32) -> Verb {
    Verb::Touch { ttl: Ttl::secs(secs, 0) }
}

#[test]
fn backups_have_no_keys_of_their_own() {
    let w = five();
    for n in 0..1_000 {
        assert!(w.client.server_of(format!("k{n}").as_bytes()).unwrap() < 3);
    }
    assert_eq!(w.client.servers_of(Subset::ALL), [0, 1, 2, 3, 4], "they are servers of the client");
    let mut w = w;
    for (n, key) in ["cow", "foo", "key0"].into_iter().enumerate() {
        w.get(key, 0);
        assert_eq!(w.opened[n].1, n, "keys are where they were without backups");
    }
}

#[test]
fn r42_a_backup_stands_in_and_says_so() {
    let mut w = five();
    w.get("foo", 1);
    w.set("foo", "v", 2);
    w.get("cow", 3);
    goes_down(&mut w, 1);
    assert_eq!(asked(&mut w, 3), ["mg foo v f c k", "ms foo 1 T10"], "what waited moves, with a shorter life");
    assert_eq!(who(&mut w), [(1, 3, true), (2, 3, true)]);
    w.get("foo", 4);
    assert_eq!(asked(&mut w, 3), ["mg foo v f c k"]);
    assert_eq!(who(&mut w), [(4, 3, true)]);
    asked(&mut w, 0);
    assert_eq!(who(&mut w), [(3, 0, false)], "other keys stay");
    assert_eq!(w.view_of(1).stats().failed_over, 3);

    comes_back(&mut w, 1);
    w.set("foo", "v", 5);
    assert_eq!(asked(&mut w, 1), ["ms foo 1"], "at home it lives as long as it should");
    assert_eq!(who(&mut w), [(5, 1, false)]);
}

/// The keys of a server that is down go to all backups, and to those that are up.
#[test]
fn of_several_backups_the_next_live_one_is_asked() {
    let mut w = five();
    w.get("foo", 1);
    goes_down(&mut w, 1);
    goes_down(&mut w, 3);
    assert_eq!(w.done(), [(1, Err(Error::NotSent))], "once moved, it is not moved again");
    w.get("foo", 2);
    assert_eq!(w.opened.last().unwrap().1, 4, "the other backup");
    goes_down(&mut w, 4);
    assert_eq!(w.done(), [(2, Err(Error::ServerDown))]);
    assert_eq!(w.submit("foo", set("v"), 3), Err(Error::ServerDown), "no backup is left");
    assert!(w.submit("key0", set("v"), 4).is_ok(), "ordinary servers stand in for nobody, and go on");
    assert_eq!(w.client.explain(b"foo").unwrap(), (w.client.explain(b"foo").unwrap().0, None));
}

/// Two workers, one of which has found out all that there is to know.
#[test]
fn workers_ask_the_same_backup() {
    let healths: Vec<Memory<SharedHealth>> = (0..5).map(|_| Memory::default()).collect();
    let worker = |process: u32| {
        let of =
            |health: &Memory<SharedHealth>| ServerMemory { shared_health: health.clone(), ..ServerMemory::default() };
        let memory = WorkerMemory { process, servers: healths.iter().map(of).collect() };
        let config = five().client.config().clone();
        let now = Instant::from_micros(1_000_000);
        World::of(Client::among(config, process.into(), memory, now), now)
    };
    let (mut one, mut other) = (worker(1), worker(2));
    let asks = |w: &mut World| {
        w.get("foo", 1);
        w.opened.last().unwrap().1
    };
    one.get("foo", 1);
    goes_down(&mut one, 1);
    assert_eq!((asks(&mut one), asks(&mut other)), (3, 3));
    goes_down(&mut one, 3);
    assert_eq!((asks(&mut one), asks(&mut other)), (4, 4), "it is down for both");
    one.wait(Duration::from_secs(7));
    let probe = one.opened.iter().rposition(|opened| opened.1 == 3).unwrap();
    one.accept(probe);
    other.now = one.now;
    one.get("foo", 2);
    other.get("foo", 2);
    let asked = |w: &World| w.view_of(3).queued + w.view_of(3).pending + w.view_of(3).connecting;
    assert!(asked(&one) > 0 && asked(&other) > 0, "it is back for both");
}

/// Each backup has keys of each server, whatever the hash and the numbers of servers.
#[test]
fn backups_share_the_keys_of_each_server() {
    let backup = &["backup"][..];
    for hash in Hash::ALL {
        let mut config = config(&[&[], &[], backup, backup]);
        (config.failover, config.hash) = (Failover::Backup, hash);
        let w = world(config);
        let mut counts = [[0; 2]; 2];
        for n in 0..1_000 {
            let (explanation, _) = w.client.explain(format!("k{n}").as_bytes()).unwrap();
            let [home, first, _] = explanation.candidates[..] else { panic!("{explanation:?}") };
            counts[home][first - 2] += 1;
        }
        assert!(counts.iter().flatten().all(|&count| count > 100), "{hash:?}: {counts:?}");
    }
}

#[test]
fn an_explanation_names_the_backups() {
    let mut w = five();
    let asked = |w: &World| w.client.explain(b"foo").map(|(explanation, server)| (explanation.candidates, server));
    assert_eq!(asked(&w), Ok((vec![1, 3, 4], Some(1))));
    w.get("foo", 1);
    goes_down(&mut w, 1);
    assert_eq!(asked(&w), Ok((vec![1, 3, 4], Some(3))));
}

/// A request is encoded for the server that it goes to, each time.
#[test]
fn what_returns_home_has_its_own_life_again() {
    let mut w = five();
    w.get("foo", 1);
    goes_down(&mut w, 1);
    asked(&mut w, 3);
    w.done();
    let backup = latest(&w, 3);
    w.configure(|config| config.max_fails = 1);
    w.wait(Duration::from_secs(7));
    // They have a place on the connection, and nothing of them is written.
    w.submit("foo", touch(60), 2).unwrap();
    w.set("foo", "v", 3);
    let probe = latest(&w, 1);
    w.accept(probe);
    assert_eq!(w.view_of(1).state, State::Live);
    w.lose(backup, Loss::Error);
    assert_eq!(w.view_of(3).state, State::Down);
    assert_eq!(asked(&mut w, 1), ["mg foo s c t k T60", "ms foo 1"]);
    assert_eq!(who(&mut w), [(2, 1, false), (3, 1, false)]);
}

#[test]
fn whatever_sets_a_life_there_sets_a_short_one() {
    let mut w = five();
    w.get("foo", 0);
    goes_down(&mut w, 1);
    asked(&mut w, 3);
    let store = |mode, secs| Verb::Store { mode, value: "v".into(), flags: 0, ttl: Ttl::secs(secs, 0), cas: 0 };
    let count = |initial| Verb::Count { direction: Direction::Incr, delta: 1, initial, cas: 0 };
    let lease = Verb::Lease { vivify: NonZeroU32::new(30).unwrap(), recache: 20, wait: false };
    for (verb, line) in [
        (store(StoreMode::Set, 5), "ms foo 1 T5"),
        (store(StoreMode::Set, 60), "ms foo 1 T10"),
        (store(StoreMode::Add, 0), "ms foo 1 ME T10"),
        (store(StoreMode::Replace, 60), "ms foo 1 MR T10"),
        (store(StoreMode::Append, 0), "ms foo 1 MA"),
        (touch(60), "mg foo s c t k T10"),
        (Verb::Get { touch: Some(Ttl::NEVER) }, "mg foo v f c t k T10"),
        (count(Some((5, Ttl::NEVER))), "ma foo D1 N10 J5 v"),
        (count(None), "ma foo D1 v"),
        (lease, "mg foo v f c k N10 R5"),
        (Verb::Invalidate { ttl: Some(Ttl::secs(60, 0)), cas: 0 }, "md foo I T10"),
        (Verb::Delete { cas: 0 }, "md foo"),
    ] {
        w.submit("foo", verb, 1).unwrap();
        let n = latest(&w, 3);
        let out = w.written(n);
        assert!(out.starts_with(&format!("{line} O")), "{out}");
    }
}

/// The item that was touched lives no longer than others when its life is set back.
#[test]
fn undoing_keeps_to_it() {
    let mut w = five();
    w.get("foo", 0);
    goes_down(&mut w, 1);
    asked(&mut w, 3);
    w.submit("foo", touch(5), 1).unwrap();
    let n = latest(&w, 3);
    let token = tokens(&w.written(n))[0];
    // An item that somebody else makes, whose life is longer: it is from before the configuration changed.
    w.reply(n, &format!("HD s0 c9 t500 kfoo T O{token} Z\r\n"));
    let out = w.written(n);
    assert!(out.starts_with("mg foo s c t k T10 O"), "{out}");
}

#[test]
fn subsets_are_of_ordinary_servers() {
    let mut w = five();
    let all = w.client.subset(Subset::ALL, &[0, 1, 2]).unwrap();
    assert_eq!(all, Subset::ALL);
    assert_eq!(w.client.subset(Subset::ALL, &[4, 0, 3, 1, 2]), Ok(Subset::ALL));
    assert_eq!(w.client.subset(Subset::ALL, &[3, 4]), Err(SubsetError::Servers));
    let some = w.client.subset(Subset::ALL, &[1, 3]).unwrap();
    assert_eq!(w.client.servers_of(some), [1]);
    // The backups of the list stand in for it.
    let request = |key| Request { key, verb: Verb::Get { touch: None }, timeout: None };
    w.client.submit_within(some, request(b"foo"), 1, w.now).unwrap();
    w.outputs();
    goes_down(&mut w, 1);
    asked(&mut w, 3);
    assert_eq!(who(&mut w), [(1, 3, true)]);
}

/// A list may get backups, lose them, and take one for an ordinary server.
#[test]
fn both_rings_follow_the_list() {
    let mut w = five();
    w.get("foo", 1);
    goes_down(&mut w, 1);
    asked(&mut w, 3);
    w.done();
    let servers = w.client.config().servers.clone();
    let change = |w: &mut World, list: Vec<ServerConfig>| {
        let result = w.client.set_servers(1, list, |_, _| ServerMemory::default(), w.now);
        w.outputs();
        result
    };
    assert_eq!(change(&mut w, servers[3..].to_vec()), Err(MembershipError::OnlyBackups));

    // The backup leaves with what waits for it.
    w.set("foo", "v", 2);
    let backup = latest(&w, 3);
    w.lose(backup, Loss::Error);
    change(&mut w, [&servers[..3], &servers[4..]].concat()).unwrap();
    assert_eq!(asked(&mut w, 4), ["ms foo 1 T10"]);
    assert_eq!(who(&mut w), [(2, 4, true)]);

    let ordinary = ServerConfig { backup: false, ..servers[4].clone() };
    change(&mut w, vec![ordinary]).unwrap();
    w.set("foo", "v", 3);
    assert_eq!(asked(&mut w, 4), ["ms foo 1"], "it is no backup any more");
    assert_eq!(who(&mut w), [(3, 4, false)]);
}

/// In text, a counter is made by a store.
#[test]
fn in_text_too() {
    let mut w = five();
    w.configure(|config| config.protocol = Protocol::Text);
    w.get("foo", 1);
    goes_down(&mut w, 1);
    let n = latest(&w, 3);
    super::text::greet(&mut w, n, super::text::older);
    w.written(n);
    w.reply(n, "END\r\n");
    w.set("foo", "v", 2);
    assert_eq!(w.written(n), "set foo 0 10 1\r\nv\r\n");
    w.reply(n, "STORED\r\n");
    let count = Verb::Count { direction: Direction::Incr, delta: 1, initial: Some((5, Ttl::NEVER)), cas: 0 };
    w.submit("foo", count, 3).unwrap();
    assert_eq!(w.written(n), "incr foo 1\r\n");
    w.reply(n, "NOT_FOUND\r\n");
    assert_eq!(w.written(n), "add foo 0 10 1\r\n5\r\n");
}
