//! The list of servers changes while the client runs.

mod routed;

use super::*;
use crate::config::{Hash, MembershipError};
use crate::limits::{MAX_GONE, MAX_SERVERS};
use crate::route::subset::SubsetError;

/// Three servers. Of all, foo and key1 belong to server 1, cow to 0, key0 to 2. Of servers 0 and 2, foo and key0 belong to
/// server 2, cow and key1 to 0.
fn three() -> Config {
    config(&[&["max=1"], &["max=1"], &["max=1"]])
}

fn server(n: usize) -> ServerConfig {
    named(n, &["max=1"])
}

fn named(n: usize, params: &[&str]) -> ServerConfig {
    let mut server = config(&[params]).servers.remove(0);
    server.name = format!("10.0.0.{n}:11211").into();
    server
}

impl World {
    fn list(&mut self, servers: &[usize]) {
        self.change(servers.iter().map(|&n| server(n)).collect()).unwrap();
    }

    fn change(&mut self, servers: Vec<ServerConfig>) -> Result<(), MembershipError> {
        let version = self.client.version() + 1;
        let changed = self.client.set_servers(version, servers, |_, _| ServerMemory::default(), self.now);
        self.outputs();
        self.client.check(self.now).unwrap();
        changed
    }

    fn ids(&self) -> &[ServerId] {
        self.client.servers_of(Subset::ALL)
    }

    fn ask(&mut self, server: ServerId, verb: ServerVerb, tag: u32) -> Result<CallId, Error> {
        let call = self.client.submit_to(server, verb, None, tag, self.now).map_err(|rejected| rejected.error);
        self.outputs();
        call
    }

    /// Answers all gets of connection `n` with this value.
    fn answer_with(&mut self, n: usize, value: &str) {
        let out = self.written(n);
        for line in out.lines().filter(|line| line.starts_with("mg ")) {
            let (key, token) = (line.split(' ').nth(1).unwrap(), tokens(&format!("{line}\r\n"))[0]);
            self.reply(n, &format!("VA {} f0 c1 k{key} O{token}\r\n{value}\r\n", value.len()));
        }
    }
}

#[test]
fn a_server_that_stays_keeps_what_it_has() {
    let mut w = world(config(&[&["min=1", "max=2"], &["min=1"]]));
    (0..2).for_each(|n| w.accept(n));
    w.get("cow", 1);
    w.answer_with(0, "x");
    w.done();
    let before = w.view_of(0).stats();
    w.change(vec![named(2, &["min=2", "smax=2"]), named(0, &["min=1", "max=2", "weight=3"])]).unwrap();
    assert_eq!((w.ids(), w.client.version()), (&[2, 0][..], 1));
    assert_eq!((w.closed.as_slice(), w.gone.as_slice()), (&[w.conn(1)][..], &[1][..]), "the one that has gone");
    assert_eq!(w.opened[2..].iter().map(|opened| opened.1).collect::<Vec<_>>(), [2, 2], "the new one's `min`");
    let view = w.view_of(0);
    assert_eq!((view.stats(), view.open, view.config.weight), (before, 1, 3));
    assert_eq!(w.client.config().servers.iter().map(|server| server.weight).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn the_numbers_of_a_pool_apply_at_once() {
    let mut w = world(config(&[&["min=3", "smax=3", "ttl=0"]]));
    (0..3).for_each(|n| w.accept(n));
    w.get("a", 1);
    w.written(0);
    w.change(vec![named(0, &["max=1", "smax=1", "ttl=0"])]).unwrap();
    assert_eq!((w.closed.len(), w.view().open), (2, 1), "the idle ones above `max` close");
    assert_eq!(w.closed, [w.conn(1), w.conn(2)]);
    w.change(vec![named(0, &["min=2", "smax=2", "max=2", "ttl=0"])]).unwrap();
    assert_eq!((w.opened.len(), w.view().connecting), (4, 1));
}

#[test]
fn a_busy_connection_above_max_closes_when_it_is_idle() {
    let mut w = world(config(&[&["min=2", "smax=2", "max=2", "ttl=0"]]));
    w.configure(|config| config.pipeline = 1);
    (0..2).for_each(|n| w.accept(n));
    w.get("a", 1);
    w.get("b", 2);
    w.change(vec![named(0, &["max=1", "smax=1", "ttl=0"])]).unwrap();
    assert_eq!((w.closed.len(), w.view().open), (0, 2));
    (0..2).for_each(|n| w.answer_with(n, "v"));
    assert_eq!((w.closed.len(), w.view().open, w.done().len()), (1, 1, 2));
}

#[test]
fn what_cannot_be_used_changes_nothing() {
    let mut w = world(three());
    assert_eq!(w.change(Vec::new()), Err(MembershipError::Empty));
    let many = (0..=MAX_SERVERS).map(server).collect();
    assert_eq!(w.change(many), Err(MembershipError::TooMany(MAX_SERVERS + 1)));
    let twice = w.change(vec![server(1), server(7), server(1)]);
    assert_eq!(twice.unwrap_err().to_string(), "server \"10.0.0.1:11211\" is in the new list twice");
    w.client.config.hash = Hash::Rendezvous;
    let weights = w.change(vec![server(1), named(7, &["weight=2"])]);
    assert!(matches!(weights, Err(MembershipError::Weights(_))));
    assert_eq!((w.ids(), w.client.version(), w.client.config().servers.len()), (&[0, 1, 2][..], 0, 3));
    assert!(w.opened.is_empty() && w.gone.is_empty());
}

#[test]
fn an_id_never_means_another_server() {
    let mut w = world(three());
    w.list(&[0, 2]);
    w.list(&[7, 0, 8, 2]);
    assert_eq!(w.ids(), [3, 0, 4, 2]);
    assert_eq!(w.ask(1, ServerVerb::FlushAll { delay: 0 }, 1), Err(Error::NoSuchServer));
    assert!(!w.client.set_enabled(1, false, w.now));
    assert!(w.client.server(1).is_none());
    assert_eq!(w.client.server_at(Subset::ALL, 1), None);
    assert_eq!(w.client.subset(Subset::ALL, &[0, 1]), Err(SubsetError::Servers));
    assert_eq!(w.client.places(Subset::ALL), 5);
    w.list(&[1, 0]);
    assert_eq!(w.ids(), [1, 0], "a name has its place again");
    assert!(w.ask(1, ServerVerb::FlushAll { delay: 0 }, 2).is_ok());
    assert_eq!(w.opened.last().unwrap().1, 1);
}

/// Names that come and go for months do not take more and more memory.
#[test]
fn empty_places_have_a_bound() {
    let mut w = world(three());
    w.list(&[0, 1]);
    let mut next = 3;
    for _ in 0..10 {
        let list: Vec<usize> = [0].into_iter().chain(next..next + 5_000).collect();
        next += 5_000;
        w.list(&list);
        assert_eq!(w.ids()[0], 0, "the one that stays");
        let others = w.ids().iter().filter(|&&id| id == 2).count();
        assert!(others == 0 || next > MAX_GONE, "the place was given away too early");
        assert_eq!(w.gone.len() + 5_000, next - 1, "all others have gone");
    }
    assert!(w.client.places(Subset::ALL) <= MAX_GONE + 2 * 5_000 + 3, "{} places", w.client.places(Subset::ALL));
}

#[test]
fn what_waits_is_routed_anew_in_its_order() {
    let mut w = world(three());
    w.set("foo", "one", 1);
    w.get("foo", 2);
    w.get("key1", 3);
    w.set("foo", "two", 4);
    assert_eq!(w.opened.len(), 1);
    w.list(&[0, 2]);
    assert_eq!((w.closed.len(), w.gone.as_slice()), (1, &[1][..]), "it has no connection any more");
    assert!(w.done().is_empty());
    assert_eq!(w.opened[1..].iter().map(|opened| opened.1).collect::<Vec<_>>(), [2, 0]);
    w.accept(1);
    w.accept(2);
    let out = w.written(1);
    let lines: Vec<_> = out.lines().filter(|line| line.contains(" foo ")).map(|line| &line[..6]).collect();
    assert_eq!(lines, ["ms foo", "mg foo", "ms foo"], "{out}");
    assert!(w.written(2).starts_with("mg key1 "));
}

#[test]
fn what_was_sent_is_answered_and_then_the_connection_closes() {
    let mut w = world(three());
    w.set("foo", "one", 1);
    w.accept(0);
    let out = w.written(0);
    w.get("foo", 2);
    w.list(&[0, 2]);
    assert!(w.closed.is_empty() && w.gone.is_empty());
    assert_eq!(w.ask(1, ServerVerb::Version, 9), Err(Error::NoSuchServer));
    w.get("foo", 3);
    assert_eq!(w.opened[1].1, 2, "new ones go elsewhere");
    w.reply(0, &format!("HD c5 O{}\r\n", tokens(&out)[0]));
    assert_eq!(w.done(), [(1, Ok(Outcome::Done))]);
    w.answer_with(0, "one");
    assert_eq!(w.done(), [(2, item("one", 0, 1))]);
    assert_eq!((w.closed.as_slice(), w.gone.as_slice()), (&[w.conn(0)][..], &[1][..]));
    assert!(w.client.next_timeout().is_some());
}

/// Its connection is lost: what may be sent again goes elsewhere, and nothing is said about the server.
#[test]
fn what_was_sent_ends_as_its_loss_says() {
    let mut w = world(three());
    w.configure(|config| config.max_fails = 1);
    w.set("foo", "one", 1);
    w.get("foo", 2);
    w.accept(0);
    w.written(0);
    w.set("foo", "two", 3);
    w.ask(1, ServerVerb::Noop, 4).unwrap();
    w.list(&[0, 2]);
    w.lose(0, Loss::Error);
    assert_eq!(w.done(), [(1, Err(Error::Unknown { maybe_applied: true })), (4, Err(Error::NoSuchServer))]);
    assert_eq!(w.gone, [1]);
    assert!(!w.events.iter().any(|event| matches!(event, Event::ServerDown { .. })), "{:?}", w.events);
    w.accept(1);
    let out = w.written(1);
    assert!(out.starts_with("mg foo ") && out.contains("ms foo "), "{out}");
}

#[test]
fn one_that_hangs_goes_when_its_replies_are_overdue() {
    let mut w = world(three());
    w.get("foo", 1);
    w.accept(0);
    w.written(0);
    w.list(&[0, 2]);
    for _ in 0..10 {
        let Some(at) = w.client.next_timeout() else { break };
        w.wait(at.since(w.now));
    }
    assert_eq!(w.done(), [(1, Err(Error::Timeout { maybe_applied: false }))]);
    assert_eq!((w.closed.len(), w.gone.as_slice()), (1, &[1][..]));
    assert_eq!((w.client.next_timeout(), w.view_of(0).state), (None, State::Live));
}

#[test]
fn one_that_returns_before_it_has_gone_continues() {
    let mut w = world(three());
    w.set("foo", "one", 1);
    w.accept(0);
    let out = w.written(0);
    w.list(&[0, 2]);
    w.list(&[0, 1, 2]);
    assert_eq!((w.view_of(1).open, w.view_of(1).state), (1, State::Live));
    w.get("foo", 2);
    assert_eq!(w.opened.len(), 1, "behind the write");
    assert!(w.written(0).starts_with("mg foo "));
    w.reply(0, &format!("HD c5 O{}\r\n", tokens(&out)[0]));
    assert_eq!((w.done().len(), w.closed.len(), w.gone.len()), (1, 0, 0));
    assert_eq!(w.view_of(1).stats().operations.set, 1);
}

/// Followers that are of another subset do not get an answer from outside of it.
#[test]
fn a_disabled_server_that_stays_is_disabled() {
    let mut w = world(three());
    w.client.set_enabled(1, false, w.now);
    w.list(&[1, 3]);
    assert_eq!(w.view_of(1).state, State::Disabled);
    w.list(&[3]);
    w.list(&[1, 3]);
    assert_eq!(w.view_of(1).state, State::Live, "it had gone, and begins anew");
}

/// A server of the text protocol counts in steps. It leaves between two of them.
#[test]
fn a_client_that_drains_takes_a_list_over_and_opens_nothing() {
    let mut w = world(three());
    w.client.drain(w.now);
    w.change(vec![named(5, &["min=2", "smax=2"])]).unwrap();
    assert!(w.opened.is_empty());
    w.get("foo", 1);
    assert_eq!(w.opened[0].1, 3);
}

/// The last operation on its connection gives up before it is sent: the connection closes, and the server has gone before
/// the operation has ended. It leaves no mark on the one that returns.
#[test]
fn a_late_write_leaves_no_mark_on_a_server_that_returns() {
    let mut w = world(three());
    w.get("foo", 1);
    w.accept(0);
    w.answer_with(0, "v");
    w.set("foo", "one", 2);
    w.list(&[0, 2]);
    assert!(w.gone.is_empty());
    w.wait(Config::TIMEOUT);
    assert_eq!(w.gone, [1]);
    w.list(&[0, 1, 2]);
    assert_eq!(w.done()[1..], [(2, Err(Error::Timeout { maybe_applied: false }))]);
}
