//! Counters and measured times.

use super::*;
use crate::metrics::histogram::Distribution;
use crate::stats::{history, Fault, Kind};

fn latency(w: &World, kind: Kind) -> Distribution {
    let mut distribution = Distribution::default();
    distribution.add(&w.view().counters.latency[kind as usize]);
    distribution
}

fn queue_time(w: &World) -> Distribution {
    let mut distribution = Distribution::default();
    distribution.add(&w.view().counters.queue_time);
    distribution
}

#[test]
fn latency_is_from_submit_to_completion_and_queue_time_ends_when_written() {
    let mut w = one(&["max=1"]);
    w.get("cow", 1);
    w.wait(Duration::from_micros(300));
    w.accept(0);
    let request = w.written(0);
    w.wait(Duration::from_micros(1_700));
    w.reply(0, &format!("EN O{}\r\n", tokens(&request)[0]));
    assert_eq!(queue_time(&w).max(), 300);
    let gets = latency(&w, Kind::Get);
    assert_eq!((gets.count(), gets.sum(), gets.max()), (1, 2_000, 2_000));
    assert_eq!([Kind::Store, Kind::Count, Kind::Other].map(|kind| latency(&w, kind).count()), [0; 3]);

    w.set("cow", "moo", 2);
    let request = w.written(0);
    w.wait(Duration::from_micros(50));
    w.reply(0, &format!("HD O{}\r\n", tokens(&request)[0]));
    assert_eq!(latency(&w, Kind::Store).max(), 50);
    assert_eq!((queue_time(&w).count(), queue_time(&w).max()), (2, 300));
}

/// Slow operations are measured even if they were given up. Operations that the client refuses are not measured.
#[test]
fn operations_that_time_out_are_measured_and_those_refused_are_not() {
    let mut w = one(&["max=1"]);
    w.accept_after_get();
    w.get("cow", 2);
    w.written(0);
    w.wait(Config::TIMEOUT);
    let timeout = Config::TIMEOUT.as_micros() as u64;
    assert_eq!((latency(&w, Kind::Get).count(), latency(&w, Kind::Get).max()), (2, timeout));
    let _ = w.submit("cow", set(&"x".repeat(Config::MAX_VALUE + 1)), 3);
    assert_eq!(latency(&w, Kind::Store).count(), 0);
    assert_eq!(w.view().stats().errors.too_large, 1);
}

#[test]
fn the_last_fault_is_what_was_wrong_and_not_what_followed() {
    let mut w = one(&["min=1"]);
    assert_eq!(w.view().counters.last_fault.get(), None);
    w.lose(0, Loss::Refused);
    let refused = w.now;
    w.wait(Duration::from_millis(1));
    w.get_or_error("cow", 1);
    assert_eq!(w.view().stats().errors.server_down, 1);
    assert_eq!(w.view().counters.last_fault.get(), Some((Fault::Refused, refused)));
}

#[test]
fn gauges_are_published_when_nothing_is_pending_and_now_and_then() {
    let mut w = one(&["max=1"]);
    let gauges = |w: &World| {
        let gauges = &w.view().counters.gauges;
        [&gauges.open, &gauges.busy, &gauges.pending, &gauges.queued].map(crate::metrics::counter::Counter::get)
    };
    w.get("cow", 1);
    w.client.publish(w.now);
    assert_eq!(gauges(&w), [0; 4], "it is too soon");
    w.wait(Duration::from_millis(100));
    w.client.publish(w.now);
    assert_eq!(gauges(&w), [0, 0, 0, 1]);
    w.accept(0);
    let request = w.written(0);
    w.client.publish(w.now);
    assert_eq!(gauges(&w), [0, 0, 0, 1], "it is too soon again");
    w.wait(Duration::from_millis(100));
    w.client.publish(w.now);
    assert_eq!(gauges(&w), [1, 1, 1, 0]);
    w.reply(0, &format!("EN O{}\r\n", tokens(&request)[0]));
    w.done();
    w.client.publish(w.now);
    assert_eq!(gauges(&w), [1, 0, 0, 0], "nothing is pending");
    w.lose(0, Loss::Eof);
    w.client.publish(w.now);
    assert_eq!(gauges(&w), [0; 4]);
}

#[test]
fn the_last_minutes() {
    let mut w = one(&["max=1"]);
    w.accept_after_get();
    for _ in 0..3 {
        w.wait(Duration::from_secs(10));
        w.get("cow", 2);
        let request = w.written(0);
        w.reply(0, &format!("EN O{}\r\n", tokens(&request)[0]));
    }
    let samples: Vec<_> = history([w.view().counters].into_iter(), w.now).map(|(_, s)| s).collect();
    let last = &samples[samples.len() - 4..];
    assert_eq!(last.iter().map(|s| (s.operations(), s.misses())).collect::<Vec<_>>(), [(1, 1); 4]);
}

#[test]
fn r46_what_is_counted_without_a_place_is_told() {
    let now = Instant::from_micros(1_000_000);
    let sum = crate::metrics::counter::Memory::<crate::stats::Counters>::default();
    let servers = vec![ServerMemory { rest: Some(sum.clone()), ..ServerMemory::default() }];
    let client = Client::among(config(&[&["max=1"]]), 7, WorkerMemory { process: 1, servers }, now);
    let mut w = World::of(client, now);
    w.accept_after_get();
    w.get("cow", 2);
    w.wait(Config::TIMEOUT);
    w.done();
    w.client.publish(w.now);
    let stats = sum.read();
    assert_eq!(stats, w.view().stats());
    assert_eq!((stats.operations.get, stats.misses, stats.errors.timeout, stats.opened), (2, 1, 1, 1));
    assert_eq!(sum.gauges.open.get(), 0, "what there is now has no place there");
    w.client.publish(w.now.after(Duration::from_secs(1)));
    assert_eq!(sum.read(), stats, "not twice");
}

impl World {
    /// Opens connection number 0, with a get that misses.
    fn accept_after_get(&mut self) {
        self.get("cow", 1);
        self.accept(0);
        let request = self.written(0);
        self.reply(0, &format!("EN O{}\r\n", tokens(&request)[0]));
    }
}
