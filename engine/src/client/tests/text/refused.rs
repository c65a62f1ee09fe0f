//! Requests that the server has refused.

use super::*;

/// A server that has refused a store may read its value as requests: no reply after the refusal is trusted.
#[test]
fn a_refused_store_closes_the_connection() {
    for (refusal, closes) in [
        ("CLIENT_ERROR bad data chunk\r\n", true),
        ("ERROR\r\n", true),
        ("SERVER_ERROR object too large for cache\r\n", true),
        ("SERVER_ERROR out of memory storing object\r\n", false),
        ("SERVER_ERROR Host is down\r\n", false),
    ] {
        let mut w = in_text(Protocol::Text, old);
        w.set("cow", "get dog", 1);
        w.get("dog", 2);
        w.written(0);
        w.reply(0, refusal);
        assert_eq!(w.closed.len(), usize::from(closes), "{refusal:?}");
        assert!(matches!(w.done()[..], [(1, Err(Error::Server(_) | Error::Client(_)))]));
        if !closes {
            // The value was read as a request.
            w.reply(0, "ERROR\r\n");
            assert_eq!(w.closed.len(), 1, "{refusal:?}");
        }
    }
}

/// A visitor can cause it, so others do not have to wait for the next connection.
#[test]
fn a_refused_store_brings_no_pause() {
    let mut w = in_text(Protocol::Text, old);
    let opened = w.opened.len();
    w.set("cow", "moo", 1);
    w.written(0);
    w.reply(0, "SERVER_ERROR object too large for cache\r\n");
    w.get("dog", 2);
    assert_eq!(w.opened.len(), opened + 1);
}
