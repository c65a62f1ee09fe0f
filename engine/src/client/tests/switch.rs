//! The operator takes a server out of use, and back, for all clients that share the switch.

use super::*;
use crate::config::Failover;
use crate::metrics::counter::Memory;
use crate::shared::{SharedHealth, SharedSwitch, Switch};

const LOOK: Duration = crate::limits::SWITCH_PAUSE;

/// The workers of a host, whose server 1 of three has a switch.
struct Workers {
    list: Vec<World>,
    switch: Memory<SharedSwitch>,
    health: Memory<SharedHealth>,
}

impl Workers {
    fn new(count: u32, failover: Failover, pipeline: usize) -> Workers {
        let mut workers = Workers { list: Vec::new(), switch: Memory::default(), health: Memory::default() };
        (0..count).for_each(|_| workers.start(failover, pipeline));
        workers
    }

    fn start(&mut self, failover: Failover, pipeline: usize) {
        let process = self.list.len() as u32 + 1;
        let now = self.list.first().map_or(Instant::from_micros(1_000_000), |w| w.now);
        let mine = ServerMemory {
            shared_switch: Some(self.switch.clone()),
            shared_health: self.health.clone(),
            ..ServerMemory::default()
        };
        let servers = vec![ServerMemory::default(), mine, ServerMemory::default()];
        let config = Config { failover, pipeline, ..config(&[&["max=1"], &["max=1"], &["max=1"]]) };
        let client = Client::among(config, process.into(), WorkerMemory { process, servers }, now);
        self.list.push(World::of(client, now));
        self.list.last_mut().unwrap().outputs();
    }

    fn set(&self, switch: Switch) {
        self.switch.set(switch, self.list[0].now, [7; 16]);
    }

    fn wait(&mut self, time: Duration) {
        self.list.iter_mut().for_each(|w| w.wait(time));
    }
}

/// One worker: a get is sent to server 1, and another one waits behind it.
fn busy(failover: Failover) -> (Workers, String) {
    let mut workers = Workers::new(1, failover, 1);
    let w = &mut workers.list[0];
    w.get("foo", 1);
    w.accept(0);
    let sent = w.written(0);
    for n in 2..10 {
        w.get("foo", n);
    }
    assert_eq!(w.view_of(1).queued + w.view_of(1).pending, 9);
    assert!(w.view_of(1).queued > 0);
    (workers, sent)
}

fn missed(requests: &str) -> String {
    tokens(requests).iter().map(|token| format!("EN kfoo O{token}\r\n")).collect()
}

#[test]
fn down_ends_what_waits_and_answers_what_was_sent() {
    for failover in [Failover::Off, Failover::Next] {
        let (mut workers, sent) = busy(failover);
        let waiting = workers.list[0].view_of(1).queued;
        workers.set(Switch::Down);
        let w = &mut workers.list[0];
        w.client.follow_switches(w.now);
        w.outputs();
        assert_eq!((w.view_of(1).state, w.view_of(1).switch), (State::Disabled, Switch::Down));
        assert_eq!(w.done().len(), if failover == Failover::Off { waiting } else { 0 });
        match failover {
            Failover::Off => assert_eq!(w.submit("foo", set("v"), 90), Err(Error::ServerDown)),
            _ => assert!(w.submit("foo", set("v"), 90).is_ok()),
        }
        assert_eq!(w.view_of(1).queued, 0);
        let requests = w.written(0);
        w.reply(0, &missed(&format!("{sent}{requests}")));
        assert!(w.done().contains(&(1, Ok(Outcome::Miss))), "what was sent is answered");
        assert_eq!((w.view_of(1).open, w.closed.clone()), (0, vec![w.conn(0)]), "then its connection closes");
        let opened = w.opened.iter().filter(|o| o.1 == 1).count();
        w.wait(Duration::from_secs(1_000));
        assert_eq!(w.opened.iter().filter(|o| o.1 == 1).count(), opened, "nobody probes");
        assert!(!workers.health.is_down() && !workers.list[0].events.iter().any(is_down), "and it has not failed");

        workers.set(Switch::Up);
        let w = &mut workers.list[0];
        w.done();
        w.get("foo", 91);
        assert_eq!((w.view_of(1).state, w.opened.last().unwrap().1), (State::Live, 1));
    }
}

fn is_down(event: &Event) -> bool {
    matches!(event, Event::ServerDown { .. })
}

#[test]
fn a_server_that_is_drained_sends_what_waits_and_takes_nothing_new() {
    for failover in [Failover::Off, Failover::Next] {
        let (mut workers, mut sent) = busy(failover);
        workers.set(Switch::Drain);
        let w = &mut workers.list[0];
        match failover {
            Failover::Off => assert_eq!(w.submit("foo", set("v"), 90), Err(Error::ServerDown)),
            _ => assert!(w.submit("foo", set("v"), 90).is_ok()),
        }
        assert_eq!((w.view_of(1).state, w.view_of(1).switch), (State::Disabled, Switch::Drain));
        assert!(w.view_of(1).queued > 0 && w.done().is_empty());
        while w.closed.is_empty() {
            sent += &w.written(0);
            w.reply(0, &missed(&std::mem::take(&mut sent)));
        }
        let mut done = w.done();
        done.sort_by_key(|done| done.0);
        let missed: Vec<_> = (1..10).map(|n| (n, Ok(Outcome::Miss))).collect();
        assert_eq!(done, missed, "all that waited was answered");
        assert_eq!((w.view_of(1).open, w.view_of(1).queued), (0, 0));
        let opened = w.opened.iter().filter(|o| o.1 == 1).count();
        w.wait(Duration::from_secs(1_000));
        assert_eq!(w.opened.iter().filter(|o| o.1 == 1).count(), opened, "nobody probes");
    }
}

/// What waits is sent on a new connection, if the one that there was is lost.
#[test]
fn a_server_that_is_drained_may_still_connect_for_what_waits() {
    let (mut workers, _) = busy(Failover::Off);
    workers.set(Switch::Drain);
    let w = &mut workers.list[0];
    w.client.follow_switches(w.now);
    w.lose(0, Loss::Eof);
    let waiting = w.view_of(1).queued;
    assert!(waiting > 0);
    w.accept(1);
    w.done();
    while w.view_of(1).queued + w.view_of(1).pending > 0 {
        let requests = w.written(1);
        w.reply(1, &missed(&requests));
    }
    assert_eq!(w.done().len(), waiting);
    assert_eq!(w.view_of(1).open, 0);
}

#[test]
fn one_that_connects_when_it_is_taken_out_closes_at_once() {
    for switch in [Switch::Down, Switch::Drain] {
        let mut workers = Workers::new(1, Failover::Off, 1);
        let w = &mut workers.list[0];
        let get = w.get("foo", 1);
        w.cancel(get);
        assert_eq!(w.view_of(1).connecting, 1);
        workers.set(switch);
        let w = &mut workers.list[0];
        w.client.follow_switches(w.now);
        w.outputs();
        assert_eq!((w.view_of(1).connecting, w.closed.len()), (0, 1), "{switch:?}");
    }
}

#[test]
fn a_worker_that_is_asked_nothing_notices_by_its_timer() {
    let mut workers = Workers::new(3, Failover::Off, 4);
    for w in &mut workers.list {
        w.get("foo", 1);
        w.accept(0);
        let requests = w.written(0);
        w.reply(0, &missed(&requests));
    }
    workers.set(Switch::Down);
    workers.wait(LOOK);
    for w in &workers.list {
        assert_eq!((w.view_of(1).switch, w.view_of(1).open, w.closed.len()), (Switch::Down, 0, 1));
    }
    workers.start(Failover::Off, 4);
    let w = &mut workers.list[3];
    assert_eq!(w.view_of(1).switch, Switch::Down, "and one that starts later knows it");
    workers.set(Switch::Up);
    workers.wait(LOOK);
    assert!(workers.list.iter().all(|w| w.view_of(1).state == State::Live));
}

#[test]
fn without_a_switch_no_timer_is_set() {
    assert_eq!(one(&["min=0"]).client.next_timeout(), None);
}

/// A server is in use only if the operator and all siblings want it.
#[test]
fn a_sibling_cannot_take_back_what_the_operator_has_taken_out() {
    let mut workers = Workers::new(1, Failover::Off, 4);
    workers.set(Switch::Down);
    let w = &mut workers.list[0];
    assert!(w.client.set_enabled(1, false, w.now));
    assert!(w.client.set_enabled(1, true, w.now));
    assert_eq!(w.view_of(1).state, State::Disabled);
    assert_eq!(w.submit("foo", set("v"), 1), Err(Error::ServerDown));
    assert!(w.client.set_enabled(1, false, w.now));
    workers.set(Switch::Up);
    let w = &mut workers.list[0];
    assert_eq!(w.submit("foo", set("v"), 2), Err(Error::ServerDown), "nor the operator what a sibling has");
    assert!(w.client.set_enabled(1, true, w.now));
    assert!(w.submit("foo", set("v"), 3).is_ok());
}

/// A server that was down before is probed once it may be used again.
#[test]
fn one_that_was_down_comes_back_by_a_probe() {
    let mut workers = Workers::new(1, Failover::Off, 4);
    let w = &mut workers.list[0];
    w.get("foo", 1);
    w.lose(0, Loss::Refused);
    assert_eq!(w.view_of(1).state, State::Down);
    workers.set(Switch::Down);
    workers.wait(Duration::from_secs(60));
    assert_eq!(workers.list[0].opened.len(), 1);
    workers.set(Switch::Up);
    workers.wait(LOOK);
    let w = &mut workers.list[0];
    assert_eq!((w.view_of(1).state, w.opened.len()), (State::Down, 2));
    w.accept(1);
    assert_eq!(w.view_of(1).state, State::Live);
}
