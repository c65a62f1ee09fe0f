//! Names with several addresses, and the choice of the address.

use super::*;
use crate::metrics::counter::Memory;
use crate::server::WorkerMemory;
use crate::shared::SharedHealth;

fn three(params: &[&str]) -> Config {
    let mut config = config(&[params]);
    config.servers[0].addresses = 3;
    config
}

impl World {
    fn addresses(&self) -> Vec<usize> {
        self.opened.iter().map(|opened| opened.2).collect()
    }

    /// The first address does not work, the second one does.
    fn go_to_second(&mut self) {
        self.get("a", 1);
        self.lose(0, Loss::Refused);
        self.accept(1);
        self.answer_all(1);
        assert_eq!((self.view().address, self.view().elsewhere), (1, 0));
    }

    /// Every request on a connection is a miss.
    fn answer_all(&mut self, n: usize) {
        let tokens = tokens(&self.written(n));
        assert!(!tokens.is_empty());
        let replies: String = tokens.iter().map(|token| format!("EN O{token}\r\n")).collect();
        self.reply(n, &replies);
        self.done();
    }

    /// Waits for the next connect. Returns the time until then.
    fn wait_for_open(&mut self) -> Duration {
        let (begin, count) = (self.now, self.opened.len());
        while self.opened.len() == count {
            let next = self.client.next_timeout().unwrap();
            self.wait(next.since(self.now).max(Duration::from_micros(1)));
        }
        self.now.since(begin)
    }

    fn moves(&self) -> Vec<usize> {
        let of = |event: &Event| match event {
            Event::AddressChanged { address, .. } => Some(*address),
            _ => None,
        };
        self.events.iter().filter_map(of).collect()
    }
}

#[test]
fn r5_an_earlier_address_is_asked_again_when_it_works() {
    let mut w = world(three(&["ttl=0"]));
    w.go_to_second();
    let pause = w.wait_for_open();
    assert!((5.0..=6.25).contains(&pause.as_secs_f64()), "{pause:?}");
    assert_eq!((w.addresses(), w.view().elsewhere), (vec![0, 1, 0], 1));
    w.get("b", 2);
    w.answer_all(1);
    w.lose(2, Loss::Refused);
    assert_eq!((w.view().state, w.view().counters.stats.failed.get()), (State::Live, 1), "that says nothing about it");
    let longer = w.wait_for_open();
    assert!((9.0..=12.5).contains(&longer.as_secs_f64()), "{longer:?}");
    w.accept(3);
    assert_eq!((w.view().address, w.moves()), (0, vec![1, 0]));
    w.get("c", 3);
    assert!(w.written(3).starts_with("mg c "));
}

#[test]
fn r5_nothing_is_sent_to_one_address_before_the_other_has_answered() {
    let mut w = world(three(&["ttl=0", "max=1", "smax=1"]));
    w.go_to_second();
    w.wait_for_open();
    w.set("a", "one", 1);
    assert!(w.written(1).starts_with("ms a "));
    w.accept(2);
    assert_eq!((w.view().address, w.view().elsewhere, w.view().open), (0, 1, 1));
    w.set("a", "two", 2);
    w.get("b", 3);
    assert_eq!((w.written(1), w.written(2), w.view().queued), (String::new(), String::new(), 2));
    w.reply(1, "HD O2\r\n");
    assert_eq!(w.closed.last(), Some(&w.conn(1)), "it has answered, and is closed");
    let requests = w.written(2);
    assert!(requests.starts_with("ms a ") && requests.contains("mg b "), "{requests}");
}

#[test]
fn r5_what_does_not_answer_at_the_other_address_is_given_up() {
    let mut w = world(three(&["ttl=0"]));
    w.go_to_second();
    w.wait_for_open();
    let request = Request { key: b"a", verb: set("one"), timeout: Some(MAX_TIMEOUT) };
    w.client.submit(request, 1, w.now).unwrap();
    w.written(1);
    w.accept(2);
    w.get("b", 2);
    w.wait(Config::TIMEOUT);
    assert_eq!(w.closed.last(), Some(&w.conn(1)));
    assert_eq!((w.view().elsewhere, w.view().state), (0, State::Live));
    assert_eq!(w.done().len(), 2, "one is lost, the other one is late");
    w.get("c", 3);
    assert!(w.written(2).starts_with("mg c "));
}

#[test]
fn r5_an_address_is_left_when_no_connection_works() {
    let mut w = world(three(&["min=2", "smax=2", "max=2"]));
    w.accept(0);
    w.accept(1);
    w.wait(Duration::from_secs(2));
    w.lose(0, Loss::Eof);
    w.wait_for_open();
    w.lose(2, Loss::Refused);
    assert_eq!((w.opened.len(), w.view().address), (3, 0), "the other one works");
    w.wait_for_open();
    w.lose(1, Loss::Eof);
    w.lose(3, Loss::Refused);
    assert_eq!(w.addresses()[2..], [0, 0, 1], "none works");
}

#[test]
fn r5_all_tries_begin_with_the_first() {
    let mut w = world(three(&["ttl=0"]));
    w.go_to_second();
    w.lose(1, Loss::Eof);
    w.get("a", 1);
    w.await_open(2);
    (2..5).for_each(|n| w.lose(n, Loss::Refused));
    assert_eq!(w.addresses()[2..], [1, 0, 2]);
    assert_eq!(w.view().state, State::Down);
    w.wait_for_open();
    assert_eq!(w.addresses()[5..], [0], "a probe");
    w.lose(5, Loss::Refused);
    assert_eq!(w.addresses()[6..], [1]);
    w.accept(6);
    assert_eq!((w.view().state, w.view().address), (State::Live, 1));
}

/// Clients that share memory, each with its own connections.
fn share(count: u32) -> Vec<World> {
    let now = Instant::from_micros(1_000_000);
    let shared_health = Memory::<SharedHealth>::default();
    let one = |process| {
        let servers = vec![ServerMemory { shared_health: shared_health.clone(), ..ServerMemory::default() }];
        let client =
            Client::among(three(&["min=1", "ttl=0"]), u64::from(process), WorkerMemory { process, servers }, now);
        let mut w = World::of(client, now);
        w.outputs();
        w
    };
    (1..=count).map(one).collect()
}

#[test]
fn r5_all_go_where_one_has_gone_and_one_looks_for_all() {
    let mut all = share(3);
    all.iter_mut().for_each(|w| w.accept(0));
    all[0].lose(0, Loss::Eof);
    all[0].get("a", 1);
    all[0].await_open(1);
    all[0].lose(1, Loss::Refused);
    all[0].accept(2);
    assert_eq!(all[0].view().address, 1);
    for w in &mut all[1..] {
        w.get("a", 1);
        assert_eq!((w.view().address, w.closed.len(), w.opened[1].2), (1, 1, 1), "the first connection is closed");
        w.accept(1);
        w.answer_all(1);
        assert!(w.moves().is_empty(), "a line for all");
    }

    // The first address works again: one finds out.
    for w in &mut all {
        w.wait(Duration::from_secs(7));
        w.done();
    }
    let looks = |w: &World| w.opened.iter().skip(1).filter(|opened| opened.2 == 0).count();
    let scouts: Vec<_> = all.iter().map(looks).collect();
    assert_eq!(scouts, [2, 0, 0], "it was refused there before, and looks");
    let scout = all[0].opened.len() - 1;
    all[0].accept(scout);
    for w in &mut all[1..] {
        w.get("b", 2);
        assert_eq!(w.view().address, 0);
        let last = w.opened.len() - 1;
        assert_eq!(w.opened[last].2, 0);
        w.accept(last);
        assert!(w.written(last).contains("mg b "));
    }
}

#[test]
fn r5_who_arrives_late_at_another_address_follows() {
    let mut all = share(2);
    all[0].accept(0);
    all[0].lose(0, Loss::Eof);
    all[0].get("a", 1);
    all[0].await_open(1);
    all[0].lose(1, Loss::Refused);
    all[0].accept(2);
    assert_eq!(all[0].view().address, 1);
    // Its connect was under way all the time.
    all[1].greet(0, "1.6.18");
    assert_eq!(all[1].view().address, 1);
    assert_eq!(all[1].closed, [all[1].conn(0)]);
}
