//! One deadline for queue, connect and exchange; placeholders for what gave up.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn one_deadline_covers_queue_connect_and_exchange() {
    let mut w = one(&["max=1"]);
    w.configure(|config| config.connect_timeout = Duration::from_secs(10));
    w.get("a", 1);
    assert_eq!(w.client.next_timeout().unwrap().since(w.now), SECOND);
    w.time_passes(SECOND);
    assert_eq!(w.done(), [(1, Err(Error::Timeout { maybe_applied: false }))]);
    assert_eq!((w.view().queued, w.client.pending()), (0, 0));

    w.set("a", "v", 2);
    w.wait(Duration::from_millis(600));
    w.accept(0);
    w.written(0);
    w.time_passes(Duration::from_millis(400));
    assert_eq!(w.done(), [(2, Err(Error::Timeout { maybe_applied: true }))], "it was sent");
}

#[test]
fn a_timeout_of_its_own() {
    let mut w = one(&[]);
    w.get("slow", 1);
    let short = Some(Duration::from_millis(5));
    let request = Request { key: b"fast", verb: Verb::Get { touch: None }, timeout: short };
    w.client.submit(request, 2, w.now).unwrap();
    w.time_passes(Duration::from_millis(5));
    assert_eq!(w.done(), [(2, Err(Error::Timeout { maybe_applied: false }))]);
    let request = Request { key: b"k", verb: Verb::Get { touch: None }, timeout: Some(Duration::MAX) };
    let call = w.client.submit(request, 3, w.now).unwrap();
    assert_eq!(w.client.calls[call].deadline, w.now.after(MAX_TIMEOUT), "capped");
}

/// Rows F6 and F23: the late reply is read and dropped, and the next operation gets its own.
#[test]
fn f6_f23_a_late_reply_meets_a_placeholder() {
    for cancel in [false, true] {
        let mut w = one(&["max=1"]);
        let first = w.get("a", 1);
        w.accept(0);
        let t1 = tokens(&w.written(0))[0];
        if cancel {
            assert_eq!(w.cancel(first), Some(1));
            assert_eq!(w.cancel(first), None, "once");
        } else {
            w.time_passes(SECOND);
            assert_eq!(w.done().len(), 1);
        }
        w.get("b", 2);
        let t2 = tokens(&w.written(0))[0];
        w.reply(0, &format!("VA 6 f0 c1 ka O{t1}\r\nsecret\r\n"));
        assert!(w.done().is_empty());
        w.reply(0, &format!("VA 1 f0 c1 kb O{t2}\r\nB\r\n"));
        assert_eq!(w.done(), [(2, item("B", 0, 1))]);
        assert!(w.closed.is_empty(), "the connection survived");
        assert!(w.client.is_idle(w.conn(0)));
    }
}

#[test]
fn a_placeholder_that_is_overdue_ends_the_connection() {
    let mut w = one(&["max=1"]);
    w.get("a", 1);
    w.accept(0);
    w.written(0);
    w.time_passes(SECOND);
    w.done();
    w.time_passes(SECOND);
    assert_eq!(w.closed, [w.conn(0)]);
    assert!(matches!(w.events[..], [Event::ConnectionLost { cause: Cause::Overdue, operations: 0, .. }]));
    assert_eq!(w.view().state, State::Live, "one stuck connection is not a dead server");
}

#[test]
fn what_is_cancelled_before_it_is_written_leaves_nothing_behind() {
    let mut w = one(&["max=1"]);
    let queued = w.get("a", 1);
    assert_eq!(w.cancel(queued), Some(1));
    assert_eq!(w.view().queued, 0);
    w.get("b", 2);
    w.accept(0);
    let middle = w.get("c", 3);
    w.get("d", 4);
    assert_eq!(w.cancel(middle), Some(3));
    let out = w.written(0);
    assert!(out.contains("mg b ") && !out.contains("mg c ") && out.contains("mg d "), "{out}");
    let t = tokens(&out);
    w.reply(0, &format!("EN kb O{}\r\nEN kd O{}\r\n", t[0], t[1]));
    assert_eq!(w.done(), [(2, Ok(Outcome::Miss)), (4, Ok(Outcome::Miss))]);
    assert!(w.client.is_idle(w.conn(0)));
    let last = w.get("e", 5);
    w.cancel(last);
    assert!(w.client.is_idle(w.conn(0)), "and nothing is awaited");
}

#[test]
fn a_completion_that_was_not_handed_out_can_be_taken_back() {
    let mut w = one(&[]);
    let call = w.get("a", 1);
    w.accept(0);
    let t = tokens(&w.written(0))[0];
    w.reply(0, &format!("EN ka O{t}\r\n"));
    assert_eq!(w.client.completions(), 1);
    assert_eq!(w.cancel(call), Some(1));
    assert!(w.done().is_empty());
}

#[test]
fn ids_are_not_valid_again() {
    let mut w = one(&[]);
    let first = w.get("a", 1);
    w.cancel(first);
    let second = w.get("a", 2);
    assert_ne!(first, second);
    assert_eq!(w.cancel(first), None);
    for number in [0, 1, u64::MAX, first.to_u64()] {
        assert_eq!(w.cancel(CallId::from_u64(number)), None);
    }
    assert_ne!(second.to_u64(), 0);
    assert_eq!(w.cancel(CallId::from_u64(second.to_u64())), Some(2));
}

/// Row F57: a jump of the clock ends what is due, once, and does not loop.
#[test]
fn f57_time_jumps() {
    let mut w = one(&["min=2", "smax=2"]);
    w.get("a", 1);
    w.accept(0);
    w.written(0);
    w.wait(Duration::from_secs(1_000_000));
    assert_eq!(w.done().len(), 1);
    for _ in 0..20 {
        let Some(next) = w.client.next_timeout() else { break };
        w.now = next.max(w.now);
        w.client.timeout(w.now);
        w.outputs();
    }
    assert_eq!(w.client.pending(), 0);
}

/// What is encoded will be sent, also if the socket takes it only later: the caller must not hear that it was not.
#[test]
fn f31_given_up_while_the_socket_is_blocked() {
    let mut w = one(&["max=1"]);
    w.get("a", 1);
    w.set("b", "B", 2);
    w.accept(0);
    let first = w.write(0, 10);
    w.time_passes(SECOND);
    let late = |maybe_applied| Err(Error::Timeout { maybe_applied });
    assert_eq!(w.done(), [(1, late(false)), (2, late(true))]);
    let out = first + &w.written(0);
    assert!(out.contains("\r\nms b 1 "), "{out}");
    let t = tokens(&out);
    w.reply(0, &format!("EN ka O{}\r\nHD O{}\r\n", t[0], t[1]));
    assert!(w.client.is_idle(w.conn(0)));
}

#[test]
fn room_that_a_cancelled_operation_leaves_is_used() {
    let mut w = one(&["max=1"]);
    w.configure(|config| config.pipeline = 1);
    w.get("warm", 0);
    w.accept(0);
    let t = tokens(&w.written(0))[0];
    w.reply(0, &format!("EN O{t}\r\n"));
    let calls: Vec<CallId> = (0..9).map(|n| w.get("k", n)).collect();
    assert_eq!((w.view().pending, w.view().queued), (8, 1));
    for call in &calls[..8] {
        w.cancel(*call);
    }
    assert_eq!((w.view().pending, w.view().queued), (1, 0), "the one that waited is next");
    w.client.drain(w.now);
    w.cancel(calls[8]);
    assert_eq!(w.closed, [w.conn(0)], "and nothing keeps an exiting worker");
}
