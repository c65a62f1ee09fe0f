//! Gets of many keys in one operation.

use super::*;
use crate::client::call::Task;
use crate::operation::reply::Part;
use crate::KeyError;

/// Three servers: foo and key1 belong to server 1, cow to 0, key0 to 2.
fn three() -> World {
    world(config(&[&["max=1"], &["max=1"], &["max=1"]]))
}

impl World {
    fn get_many(&mut self, keys: &[&str], tag: u32) -> CallId {
        self.touch_many(keys, None, tag)
    }

    fn touch_many(&mut self, keys: &[&str], touch: Option<Ttl>, tag: u32) -> CallId {
        let keys = keys.iter().map(|key| key.as_bytes());
        let call = self.client.submit_many(Subset::ALL, keys, touch, None, tag, self.now).unwrap();
        self.outputs();
        call
    }

    /// Answers the gets that connection number `n` has to write: with their key, and with a miss for `key1`.
    fn answer_gets(&mut self, n: usize) {
        let out = self.written(n);
        for (line, t) in out.lines().zip(tokens(&out)) {
            match line.split(' ').nth(1).unwrap() {
                "key1" => self.reply(n, &format!("EN O{t}\r\n")),
                key => self.reply(n, &format!("VA {} f7 c9 k{key} O{t}\r\n{key}\r\n", key.len())),
            }
        }
    }
}

fn many(answers: &[Answer]) -> Answer {
    Ok(Outcome::Many(answers.iter().map(|answer| Part { answer: answer.clone(), stand_in: false }).collect()))
}

fn found(key: &str) -> Answer {
    item(key, 7, 9)
}

#[test]
fn all_servers_at_once_and_the_last_one_completes_it() {
    let mut w = three();
    w.get_many(&["cow", "foo", "key1", "key0", "cow"], 1);
    assert_eq!(w.opened.iter().map(|o| o.1).collect::<Vec<_>>(), [0, 1, 2]);
    for n in 0..3 {
        assert_eq!(w.done(), []);
        w.accept(n);
        w.answer_gets(n);
    }
    let answers = [found("cow"), found("foo"), Ok(Outcome::Miss), found("key0"), found("cow")];
    assert_eq!(w.done(), [(1, many(&answers))]);
    assert_eq!(w.client.pending(), 0);
    let stats = w.view_of(1).stats();
    assert_eq!((stats.operations.get, stats.hits, stats.misses), (2, 1, 1));
}

#[test]
fn a_touch_is_for_each() {
    let mut w = three();
    w.touch_many(&["foo", "key1"], Some(Ttl::secs(60, 0)), 1);
    w.accept(0);
    assert_eq!(w.written(0).matches(" T60 ").count(), 2);
}

/// A key that cannot be asked for has an answer like the others, and never during the call.
#[test]
fn partial_failures() {
    let mut w = three();
    w.client.set_enabled(2, false, w.now);
    let long = "k".repeat(251);
    w.get_many(&["key0", "", &long, "cow"], 1);
    w.accept(0);
    w.answer_gets(0);
    let invalid = |error| Err(Error::InvalidKey(error));
    let answers = [Err(Error::ServerDown), invalid(KeyError::Empty), invalid(KeyError::TooLong(251)), found("cow")];
    assert_eq!(w.done(), [(1, many(&answers))]);

    let call = w.get_many(&["", "key0"], 2);
    assert_eq!(w.client.completions(), 1, "later, from the list of completions");
    assert_eq!(w.done(), [(2, many(&[answers[1].clone(), answers[0].clone()]))]);
    assert_eq!(w.cancel(call), None);
    w.get_many(&[], 3);
    assert_eq!(w.done(), [(3, many(&[]))]);
}

#[test]
fn no_more_wait_than_the_queue_holds() {
    let mut config = config(&[&["max=1"]]);
    config.queue = 2;
    let mut w = world(config);
    w.get_many(&["a", "b", "c"], 1);
    w.accept(0);
    w.answer_gets(0);
    assert_eq!(w.done(), [(1, many(&[found("a"), found("b"), Err(Error::Busy)]))]);
}

#[test]
fn at_the_deadline_what_is_missing_has_timed_out() {
    let mut w = three();
    w.get_many(&["cow", "foo"], 1);
    w.accept(0);
    w.answer_gets(0);
    w.wait(Config::TIMEOUT);
    assert_eq!(w.done(), [(1, many(&[found("cow"), Err(Error::Timeout { maybe_applied: false })]))]);
    assert_eq!(w.client.pending(), 0);
}

/// Sent parts leave placeholders, waiting ones leave the queue, and shared exchanges go on for other gets.
#[test]
fn cancelled_as_one() {
    let mut config = config(&[&["max=1"], &["max=1"], &["max=1"]]);
    config.coalesce = true;
    let mut w = world(config);
    let call = w.get_many(&["cow", "foo", "foo", "key1"], 1);
    w.get("foo", 2);
    w.accept(0);
    let out = w.written(0);
    assert_eq!(w.cancel(call), Some(1));
    assert_eq!(w.cancel(call), None);
    assert_eq!(w.client.pending(), 1, "the other get");
    w.accept(1);
    assert_eq!(w.view_of(1).queued, 0);
    w.reply(0, &format!("VA 3 f7 c9 kcow O{}\r\ncow\r\n", tokens(&out)[0]));
    w.answer_gets(1);
    assert_eq!(w.done(), [(2, found("foo"))]);
    assert_eq!(w.closed, []);
    assert_eq!(w.client.pending(), 0);
}

#[test]
fn cancelled_after_it_completed() {
    let mut w = three();
    let call = w.get_many(&["cow"], 1);
    w.accept(0);
    w.answer_gets(0);
    assert_eq!(w.client.completions(), 1);
    assert_eq!(w.cancel(call), Some(1));
    assert_eq!(w.done(), []);
}

/// No caller knows the ids of a batch's parts.
#[test]
fn a_guessed_part_cannot_be_cancelled() {
    let mut w = three();
    w.get_many(&["cow", "foo"], 1);
    let ids: Vec<CallId> = w.client.calls.keys().collect();
    assert_eq!(ids.len(), 3);
    let parts: Vec<_> = ids.into_iter().filter(|&id| !matches!(w.client.calls[id].task, Task::Parts(_))).collect();
    for part in parts {
        assert_eq!(w.cancel(part), None);
    }
    for n in 0..2 {
        w.accept(n);
        w.answer_gets(n);
    }
    assert_eq!(w.done(), [(1, many(&[found("cow"), found("foo")]))]);
}

#[test]
fn a_lost_connection_fails_its_part_alone() {
    let mut w = three();
    w.get_many(&["cow", "foo"], 1);
    w.accept(0);
    w.accept(1);
    w.answer_gets(0);
    w.written(1);
    w.lose(1, Loss::Error);
    assert_eq!(w.done(), [], "a read is sent again, once");
    w.accept(2);
    w.written(2);
    w.lose(2, Loss::Error);
    assert_eq!(w.done(), [(1, many(&[found("cow"), Err(Error::Unknown { maybe_applied: false })]))]);
}

/// A value that waits for those of slower servers does not keep its read buffer.
#[test]
fn values_that_wait_are_copied() {
    let mut w = three();
    w.get_many(&["cow", "foo"], 1);
    w.accept(0);
    w.accept(1);
    let t = tokens(&w.written(0));
    let conn = w.conn(0);
    let reply = format!("VA 3 f7 c9 kcow O{}\r\ncow\r\n", t[0]);
    let buffer = w.client.read_buffer(conn).unwrap();
    buffer.extend_from_slice(reply.as_bytes());
    let read = buffer.as_ptr_range();
    w.client.received(conn, reply.len(), w.now);
    w.answer_gets(1);
    let Some((1, Ok(Outcome::Many(answers)))) = w.done().pop() else { panic!("no answer") };
    let Ok(Outcome::Item(item)) = &answers[0].answer else { panic!("no item") };
    assert_eq!(item.value, "cow");
    assert!(!read.contains(&item.value.as_ptr()));
}

/// The bytes that all batches hold are bounded, however many batches there are.
#[test]
fn r11_the_values_that_batches_hold_are_bounded() {
    const LARGE: usize = 30 * 1024 * 1024;
    let large = |w: &mut World, n: usize| {
        let out = w.written(n);
        for (line, t) in out.lines().zip(tokens(&out)) {
            let key = line.split(' ').nth(1).unwrap().to_owned();
            w.reply(n, &format!("VA {LARGE} f0 c1 k{key} O{t}\r\n{}\r\n", "v".repeat(LARGE)));
        }
    };
    let mut w = world(Config { max_value: LARGE, ..config(&[&["max=1"], &["max=1"], &["max=1"]]) });
    w.get_many(&["cow", "foo", "key0"], 1);
    (0..3).for_each(|n| w.accept(n));
    (0..3).for_each(|n| large(&mut w, n));
    let done = w.done();
    let [(1, Ok(Outcome::Many(parts)))] = &done[..] else { panic!("one batch") };
    let lens: Vec<_> = parts.iter().map(|part| part.answer.as_ref().map(|_| ())).collect();
    assert_eq!(lens, [Ok(()), Ok(()), Err(&Error::Busy)]);
    assert_eq!(w.view_of(2).stats().errors.busy, 1);
    w.client.check(w.now).unwrap();

    // One that is given up holds nothing, and neither does one that was handed out.
    let given_up = w.get_many(&["cow", "foo", "key0"], 2);
    (0..2).for_each(|n| large(&mut w, n));
    w.client.cancel(given_up, w.now).unwrap();
    w.client.check(w.now).unwrap();
    large(&mut w, 2);
    w.get_many(&["cow", "foo"], 3);
    (0..2).for_each(|n| large(&mut w, n));
    let done = w.done();
    let [(3, Ok(Outcome::Many(parts)))] = &done[..] else { panic!("one batch") };
    assert!(parts.iter().all(|part| part.answer.is_ok()));
    w.client.check(w.now).unwrap();
}
