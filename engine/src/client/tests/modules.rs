//! Modules that ask, and their shares.

use super::*;

impl World {
    fn module(&mut self, name: &str) -> ModuleId {
        self.client.module(name.as_bytes()).unwrap()
    }

    fn submit_for(&mut self, module: ModuleId, key: &str, verb: Verb, tag: u32) -> Result<CallId, Error> {
        let request = Request { key: key.as_bytes(), verb, timeout: None };
        let asker = Asker { module, ..Asker::default() };
        let call = self.client.submit_within(asker, request, tag, self.now).map_err(|rejected| rejected.error);
        self.outputs();
        call
    }

    fn get_for(&mut self, module: ModuleId, key: &str, tag: u32) -> CallId {
        self.submit_for(module, key, GET, tag).unwrap()
    }

    /// What was written, by the last letter of the keys.
    fn keys(&mut self, n: usize) -> String {
        let written = self.written(n);
        written.lines().filter_map(|line| line.split(' ').nth(1)?.chars().last()).collect()
    }

    fn numbers(&self) -> Vec<(String, u64, u64, usize)> {
        let name = |view: &crate::ModuleView| String::from_utf8_lossy(&view.name).into_owned();
        self.client.modules().map(|view| (name(&view), view.operations, view.errors, view.queued)).collect()
    }
}

const GET: Verb = Verb::Get { touch: None };

/// At most one connection, and this queue.
fn narrow(queue: usize) -> World {
    let mut config = config(&[&["max=1"]]);
    (config.pipeline, config.queue, config.coalesce) = (8, queue, false);
    world(config)
}

#[test]
fn a_full_queue_has_room_for_who_is_below_its_share() {
    let mut w = narrow(16);
    let (flood, other) = (w.module("flood"), w.module("other"));
    for n in 0..14 {
        w.get_for(flood, "a", n);
    }
    assert_eq!(w.submit_for(flood, "a", GET, 99), Err(Error::Busy), "an eighth is left to others");
    assert_eq!(w.view().stats().limits.queue, 1);
    for n in 0..2 {
        w.get_for(other, "b", n);
    }
    assert_eq!(w.submit_for(other, "b", GET, 99), Err(Error::Busy), "now it is full");
    let row = |name: &str, operations, errors, queued| (name.to_owned(), operations, errors, queued);
    assert_eq!(w.numbers(), [row("flood", 14, 1, 14), row("other", 2, 1, 2)]);
    w.client.check(w.now).unwrap();
}

#[test]
fn beyond_half_of_the_queue_a_module_has_its_share() {
    let mut w = narrow(16);
    let (flood, other) = (w.module("flood"), w.module("other"));
    w.get_for(other, "b", 0);
    for n in 0..8 {
        w.get_for(flood, "a", n);
    }
    assert_eq!(w.submit_for(flood, "a", GET, 99), Err(Error::Busy), "two share 16");
    for n in 1..8 {
        w.get_for(other, "b", n);
    }
    // The other one does not ask any more.
    w.now = w.now.after(Duration::from_secs(1));
    let mut w2 = narrow(16);
    let (flood, other) = (w2.module("flood"), w2.module("other"));
    w2.get_for(other, "b", 0);
    w2.now = w2.now.after(Duration::from_millis(999));
    (0..8).for_each(|n| _ = w2.get_for(flood, "a", n));
    assert_eq!(w2.submit_for(flood, "a", GET, 99), Err(Error::Busy));
    w2.now = w2.now.after(Duration::from_millis(1));
    (8..13).for_each(|n| _ = w2.get_for(flood, "a", n));
}

#[test]
fn a_module_alone_has_all_of_the_queue() {
    let mut w = narrow(16);
    (0..16).for_each(|n| _ = w.get("a", n));
    assert_eq!(w.submit("a", GET, 99), Err(Error::Busy));
    assert_eq!(w.numbers(), [(String::new(), 16, 1, 16)]);
}

#[test]
fn modules_have_their_turns() {
    let mut w = narrow(64);
    let (flood, other) = (w.module("flood"), w.module("other"));
    (0..20).for_each(|n| _ = w.get_for(flood, "a", n));
    (20..22).for_each(|n| _ = w.get_for(other, "b", n));
    w.accept(0);
    // With 8 in its pipeline, the flood leaves the only connection to the other.
    assert_eq!(w.keys(0), "ababaaaa");
    w.get_for(other, "b", 22);
    assert_eq!(w.keys(0), "b");
    w.client.check(w.now).unwrap();
}

#[test]
fn a_write_is_not_passed_by_another_module() {
    let mut config = config(&[&["max=1"]]);
    (config.queue, config.coalesce) = (64, false);
    let mut w = world(config);
    let (flood, other) = (w.module("flood"), w.module("other"));
    (0..3).for_each(|n| _ = w.get_for(flood, "a", n));
    let write = w.submit_for(flood, "k", set("1"), 3).unwrap();
    w.get_for(other, "k", 4);
    w.submit_for(other, "k", set("2"), 5).unwrap();
    w.get_for(other, "b", 6);
    w.submit_for(other, "c", set("x"), 7).unwrap();
    w.client.check(w.now).unwrap();
    w.accept(0);
    let written = w.written(0);
    let keys: String = written.lines().filter_map(|line| line.split(' ').nth(1)?.chars().last()).collect();
    assert_eq!(keys, "abacakkk", "{written}");
    assert!(w.cancel(write).is_some());
    w.client.check(w.now).unwrap();
}

#[test]
fn a_cancelled_write_keeps_nobody_in_its_line() {
    let mut w = narrow(64);
    let (flood, other) = (w.module("flood"), w.module("other"));
    (0..3).for_each(|n| _ = w.get_for(flood, "a", n));
    let write = w.submit_for(flood, "k", set("1"), 3).unwrap();
    w.cancel(write);
    w.client.check(w.now).unwrap();
    w.get_for(other, "k", 4);
    w.accept(0);
    assert_eq!(w.keys(0).chars().take(2).collect::<String>(), "ak");
}

#[test]
fn a_flood_leaves_a_connection_to_others() {
    let mut config = config(&[&["max=2"]]);
    (config.pipeline, config.queue, config.coalesce) = (4, 128, false);
    let mut w = world(config);
    let (flood, other) = (w.module("flood"), w.module("other"));
    w.get_for(other, "b", 0);
    w.accept(0);
    let reply = tokens(&w.written(0));
    w.reply(0, &format!("EN O{}\r\n", reply[0]));
    (0..40).for_each(|n| _ = w.get_for(flood, "a", n));
    assert_eq!((w.view().pending, w.opened.len()), (4, 2), "it waits for a second connection");
    w.accept(1);
    assert_eq!((w.view().pending, w.view().queued), (32, 8));
    w.get_for(other, "b", 1);
    assert_eq!((w.keys(0), w.keys(1)), ("a".repeat(32), "b".into()), "one of both is left alone");
    w.client.check(w.now).unwrap();
    // The other one does not ask any more.
    w.now = w.now.after(Duration::from_secs(1));
    w.get_for(flood, "a", 41);
    assert_eq!((w.view().pending, w.view().queued), (42, 0));
}

#[test]
fn errors_and_cancelled_ones_are_counted_once() {
    let mut w = narrow(64);
    let one = w.module("one");
    let calls: Vec<_> = (0..4).map(|n| w.get_for(one, "a", n)).collect();
    w.cancel(calls[0]);
    assert!(matches!(w.submit_for(one, "", GET, 9), Err(Error::InvalidKey(_))));
    let asker = Asker { module: one, ..Asker::default() };
    let (client, now) = (&mut w.client, w.now);
    client.submit_many(asker, [&b"a"[..], b""], None, None, 10, now).unwrap();
    client.submit_to_for(one, 0, ServerVerb::Version, None, 11, now).unwrap();
    client.refuse_value(asker, b"k", 1 << 30, 12, now);
    w.client.check(w.now).unwrap();
    assert_eq!(w.numbers(), [("one".into(), 6, 3, 5)]);
    w.wait(Duration::from_secs(1));
    assert_eq!(w.numbers(), [("one".into(), 6, 8, 0)], "all are late");
    w.client.check(w.now).unwrap();
}

#[test]
fn lease_gets_that_wait_have_shares() {
    let mut w = narrow(8);
    let (flood, other) = (w.module("flood"), w.module("other"));
    let lease = || Verb::Lease { vivify: std::num::NonZeroU32::MIN, recache: 0, wait: true };
    w.get_for(other, "b", 0);
    w.accept(0);
    let token = tokens(&w.written(0))[0];
    w.reply(0, &format!("EN O{token}\r\n"));
    for n in 0..5 {
        w.submit_for(flood, &format!("k{n}"), lease(), n).unwrap();
        let token = tokens(&w.written(0))[0];
        w.reply(0, &format!("VA 0 f0 c1 kk{n} O{token} Z\r\n\r\n"));
    }
    let busy = w.done().into_iter().filter(|(_, answer)| *answer == Err(Error::Busy)).count();
    assert_eq!(busy, 1, "two share 8");
    w.submit_for(other, "k9", lease(), 9).unwrap();
    let token = tokens(&w.written(0))[0];
    w.reply(0, &format!("VA 0 f0 c1 kk9 O{token} Z\r\n\r\n"));
    assert!(w.done().is_empty(), "it waits");
}
