//! How the client finds out that a server speaks text, and which commands it knows.

use super::*;

/// mcrouter's answer to an unknown command. Behind it, it closes the connection.
pub(super) const MALFORMED: &str = "CLIENT_ERROR malformed request\r\n";

fn mcrouter(command: &str) -> Option<String> {
    match command.split(' ').next().unwrap() {
        "mn" => Some(MALFORMED.into()),
        _ => memcached(command, "41.0.0 mcrouter"),
    }
}

/// Before it knew `gat`.
fn old_mcrouter(command: &str) -> Option<String> {
    if command.starts_with("gat") {
        Some(MALFORMED.into())
    } else {
        mcrouter(command)
    }
}

fn words(asked: &[Vec<String>]) -> Vec<String> {
    let word = |line: &String| line.split(' ').next().unwrap().to_owned();
    asked.iter().map(|lines| lines.iter().map(word).collect::<Vec<_>>().join(" ")).collect()
}

impl World {
    /// Greets like a memcached that is asked one question at a time.
    fn greet_alone(&mut self, n: usize) {
        self.client.connected(self.conn(n), self.now);
        assert_eq!(self.written(n), "version\r\n");
        self.reply(n, "VERSION 1.6.18\r\n");
        assert_eq!(self.written(n), "mn\r\n");
        self.reply(n, "MN\r\n");
        assert!(self.written(n).starts_with("mg "));
        self.reply(n, "EN O1\r\nHD O2\r\nMN\r\n");
    }
}

#[test]
fn r29_each_server_is_greeted_as_it_can_be() {
    let proxy = ["version gets touch gats", "version gats", "version stats", "version stats", "version"];
    let old_proxy = ["get gets touch gats", "get gats", "get stats", "get stats", "get"];
    let router = ["version gets touch gats stats"];
    let old_router = ["version gets touch gats", "version stats"];
    let behind = |first: &[&'static str], then: &[&'static str]| [first, then].concat();
    for (protocol, answers, expected) in [
        (Protocol::Auto, old as Answers, vec!["version mn gets touch gats stats"]),
        (Protocol::Auto, older, vec!["version mn gets touch gats stats"]),
        (Protocol::Text, old, vec!["version gets touch gats stats"]),
        (Protocol::Text, twemproxy, proxy.to_vec()),
        (Protocol::Auto, twemproxy, behind(&["version mn", "version mn"], &proxy)),
        (Protocol::Text, old_twemproxy, behind(&["version", "get", "version"], &old_proxy)),
        (Protocol::Auto, old_twemproxy, behind(&["version mn", "version", "get", "version"], &old_proxy)),
        (Protocol::Text, mcrouter, router.to_vec()),
        (Protocol::Auto, mcrouter, behind(&["version mn", "version mn"], &router)),
        (Protocol::Text, old_mcrouter, old_router.to_vec()),
        (Protocol::Auto, old_mcrouter, behind(&["version mn", "version mn"], &old_router)),
    ] {
        let mut w = world(Config { protocol, ..config(&[&["max=2"]]) });
        w.configure(|config| config.pipeline = 1);
        w.get("a", 1);
        let asked = greet(&mut w, 0, answers);
        assert_eq!(words(&asked), expected);
        let told = protocol == Protocol::Text;
        let texts =
            w.events.iter().filter(|event| matches!(event, Event::SpeaksText { told: t, .. } if *t == told)).count();
        assert_eq!((texts, w.events.len()), (1, 1), "no close was a failure: {:?}", w.events);
        assert_eq!((w.view().stats().failed, w.view().state), (0, State::Live));
        assert_eq!(w.client.explain(b"a b").unwrap_err(), KeyError::NotText("10.0.0.0:11211".into()));
        assert!(w.client.explain(b"a-b").is_ok());
        assert_eq!(w.view().counters.gauges.protocol(), Some(Protocol::Text));
        // The next connection asks for no more than its dialect.
        w.get("a", 2);
        w.await_open(expected.len());
        let again = greet(&mut w, expected.len(), answers);
        assert_eq!(words(&again), [expected.last().unwrap().split(' ').next().unwrap()]);
    }
}

/// memcached from 1.6.10 on is greeted as before, and so is a server that closes the first greeting and answers the
/// second.
#[test]
fn meta_is_used_where_it_can_be() {
    let mut w = one(&[]);
    w.get("a", 1);
    w.client.connected(w.conn(0), w.now);
    assert_eq!(w.written(0), "version\r\nmn\r\n");
    w.lose(0, Loss::Eof);
    w.greet_alone(1);
    assert!(w.written(1).starts_with("mg a v "));
    assert!(w.events.is_empty());
    assert_eq!(w.view().counters.gauges.protocol(), Some(Protocol::Meta));
}

/// A server that closes a connection once may have been restarted.
#[test]
fn one_close_is_no_answer() {
    let mut w = one(&["max=1"]);
    w.get("a", 1);
    w.client.connected(w.conn(0), w.now);
    w.written(0);
    w.reply(0, "VERSION 1.6.18\r\n");
    w.lose(0, Loss::Error);
    w.greet_alone(1);
    assert_eq!(w.view().counters.gauges.protocol(), Some(Protocol::Meta));

    let mut w = world(Config { protocol: Protocol::Text, ..config(&[&["max=1"]]) });
    w.submit("a", Verb::Touch { ttl: Ttl::NEVER }, 1).unwrap();
    w.client.connected(w.conn(0), w.now);
    for answer in ["VERSION 1.6.9\r\n", "END\r\n"] {
        w.written(0);
        w.reply(0, answer);
    }
    assert!(w.written(0).starts_with("touch "));
    w.lose(0, Loss::Error);
    greet(&mut w, 1, old);
    assert_eq!(w.written(1), "touch a 0\r\n");
}

/// A server that claims to be a new memcached, but refuses the trial, is asked in text, on another connection.
#[test]
fn what_takes_no_store_of_meta_speaks_text() {
    for refusal in ["CLIENT_ERROR bad\r\n", "EN\r\nCLIENT_ERROR bad\r\nERROR\r\nMN\r\n", "-ERR unknown\r\n"] {
        let mut w = one(&[]);
        w.get("a", 1);
        w.client.connected(w.conn(0), w.now);
        w.written(0);
        w.reply(0, "VERSION 1.6.18\r\nMN\r\n");
        w.written(0);
        w.reply(0, refusal);
        assert_eq!((w.closed.clone(), w.opened.len()), (vec![w.conn(0)], 2), "{refusal:?}");
        let asked = greet(&mut w, 1, |command| memcached(command, "1.6.18"));
        assert_eq!(words(&asked), ["version gets touch gats stats"]);
    }
}

/// A proxy may be up before its memcached: its closes say nothing about memcached.
#[test]
fn closes_are_no_answer_where_a_version_comes_later() {
    for closes in 1..=2 {
        let mut w = one(&[]);
        w.get("a", 1);
        for n in 0..closes {
            w.client.connected(w.conn(n), w.now);
            w.written(n);
            w.lose(n, Loss::Eof);
        }
        if closes == 2 {
            w.client.connected(w.conn(2), w.now);
            assert!(w.written(2).starts_with("get "));
            w.reply(2, "END\r\n");
            assert!(w.closed.contains(&w.conn(2)));
        }
        let n = last(&w);
        w.greet_alone(n);
        assert!(w.written(n).starts_with("mg a v "));
        assert_eq!(w.view().counters.gauges.protocol(), Some(Protocol::Meta));
        assert_eq!(w.view().stats().failed, 0);
    }
}

/// After the last question, a close is a failure, and a server that was down is greeted anew.
#[test]
fn what_closes_every_greeting_is_down() {
    let mut w = one(&[]);
    w.get("a", 1);
    for round in 0..3 {
        for (step, asked) in ["version\r\nmn\r\n", "version\r\n", "get "].into_iter().enumerate() {
            let n = 3 * round + step;
            while w.opened.len() <= n {
                let next = w.client.next_timeout().unwrap();
                w.wait(next.since(w.now));
            }
            w.client.connected(w.conn(n), w.now);
            assert!(w.written(n).starts_with(asked), "{n}");
            w.lose(n, Loss::Eof);
        }
        assert_eq!(w.view().stats().failed, round as u64 + 1);
    }
    assert_eq!(w.view().state, State::Down);
    assert_eq!(w.done().len(), 1);
}

#[test]
fn what_is_no_text_either_is_unfit() {
    for (answers, quoted) in [
        (&["VERSION 1.5\r\n", "ERROR\r\n"][..], "gets"),
        (&["VERSION 1.5\r\n", "+OK\r\n"], "gets"),
        (&["VERSION 1.5\r\n", "VALUE x 0 1 1\r\n"], "gets"),
        (&["VERSION 1.5\r\n", "END\r\n", "TOUCHED\r\n"], "touch"),
        (&["VERSION 1.5\r\n", "END\r\n", "NOT_FOUND\r\nEND\r\n"], "gats"),
    ] {
        let mut w = world(Config { protocol: Protocol::Text, ..config(&[&[]]) });
        w.get("a", 1);
        w.client.connected(w.conn(0), w.now);
        for answer in answers {
            assert!(!w.written(0).is_empty());
            w.reply(0, answer);
        }
        let [Event::ConnectFailed { cause: Cause::Unfit(unfit), .. }] = &w.events[..] else {
            panic!("{answers:?}: {:?}", w.events)
        };
        assert!(matches!(unfit, Unfit::Dialect { tried, .. } if *tried == quoted), "{unfit:?}");
    }
}
