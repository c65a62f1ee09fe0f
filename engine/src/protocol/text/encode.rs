//! Requests to bytes.

use crate::config::Credentials;
use crate::operation::key::Key;
use crate::operation::request::{Direction, DiscoverBy, ServerVerb, StoreMode, Ttl, Verb};
use crate::operation::work::Work;
use crate::protocol::outbound::Outbound;
use crate::protocol::text::command::Command;

/// Appends the request; nothing if there is no command for it.
#[inline(never)]
pub(crate) fn request(out: &mut Outbound, key: Option<&Key>, work: &Work) {
    match (work, key) {
        // Its encoded form would be another key.
        (_, Some(key)) if key.is_binary() => {}
        (Work::Keyed(verb), Some(key)) => keyed(out, key, verb),
        (Work::Create { value, ttl, .. }, Some(key)) => create(out, key, *value, *ttl),
        (Work::Server(verb), _) => server(out, *verb),
        (Work::SetBack { .. }, _) | (Work::Keyed(_) | Work::Create { .. }, None) => {}
    }
}

/// Asks for the version.
pub(crate) fn version(out: &mut Outbound) {
    out.put(b"version\r\n");
}

/// Sends user and password. memcached with `-Y` ignores the key and the time. They are such that any other server would
/// overwrite no item and keep none: the key is new, and the item has expired before it is stored. The secret is sent from
/// its own memory, and no buffer has a copy of it.
pub(crate) fn authenticate(out: &mut Outbound, key: &Key, credentials: &Credentials) {
    line(out, b"set ", key);
    number(out, b" 0 -1 ", credentials.token().len());
    end(out);
    out.put_shared(credentials.token());
    end(out);
}

/// Reads a key that does not exist, with the one command that every server knows.
pub(crate) fn get(out: &mut Outbound, key: &Key) {
    line(out, b"get ", key);
    end(out);
}

/// Tries a command, with a key that does not exist.
pub(crate) fn try_command(out: &mut Outbound, command: Command, key: &Key) {
    match command {
        Command::Gets => keyed(out, key, &Verb::Get { touch: None }),
        Command::Touch => keyed(out, key, &Verb::Touch { ttl: Ttl::SECOND }),
        Command::Gats => keyed(out, key, &Verb::Get { touch: Some(Ttl::SECOND) }),
        Command::Stats => server(out, ServerVerb::Stats),
    }
}

fn server(out: &mut Outbound, verb: ServerVerb) {
    match verb {
        ServerVerb::Noop | ServerVerb::Version => version(out),
        ServerVerb::Stats => out.put(b"stats\r\n"),
        ServerVerb::FlushAll { delay: 0 } => out.put(b"flush_all\r\n"),
        ServerVerb::FlushAll { delay } => {
            number(out, b"flush_all ", Ttl::bounded(delay));
            end(out);
        }
        ServerVerb::Discover { by } => discover(out, by),
    }
}

/// Asks a configuration endpoint for the servers of its cluster. No other dialect has a command of its own for it.
pub(crate) fn discover(out: &mut Outbound, by: DiscoverBy) {
    match by {
        DiscoverBy::Config => out.put(b"config get cluster\r\n"),
        DiscoverBy::Item => out.put(b"get AmazonElastiCache:cluster\r\n"),
    }
}

fn keyed(out: &mut Outbound, key: &Key, verb: &Verb) {
    match verb {
        Verb::Get { touch: None } => line(out, b"gets ", key),
        Verb::Get { touch: Some(ttl) } => {
            number(out, b"gats ", ttl.wire());
            line(out, b" ", key);
        }
        Verb::Store { mode, value, flags, ttl, cas } => {
            let word: &[u8] = match mode {
                StoreMode::Set if *cas != 0 => b"cas ",
                StoreMode::Set => b"set ",
                StoreMode::Add => b"add ",
                StoreMode::Replace => b"replace ",
                StoreMode::Append => b"append ",
                StoreMode::Prepend => b"prepend ",
            };
            line(out, word, key);
            number(out, b" ", *flags);
            number(out, b" ", ttl.wire());
            number(out, b" ", value.len());
            if *cas != 0 {
                number(out, b" ", *cas);
            }
            end(out);
            out.put_value(value);
        }
        Verb::Delete { .. } => line(out, b"delete ", key),
        Verb::Count { direction, delta, .. } => {
            line(out, if *direction == Direction::Incr { b"incr " } else { b"decr " }, key);
            number(out, b" ", *delta);
        }
        Verb::Touch { ttl } => {
            line(out, b"touch ", key);
            number(out, b" ", ttl.wire());
        }
        Verb::Lease { .. } | Verb::Inspect | Verb::Invalidate { .. } => return,
    }
    end(out);
}

/// Appends the store that creates a counter.
fn create(out: &mut Outbound, key: &Key, value: u64, ttl: Ttl) {
    let mut buffer = itoa::Buffer::new();
    let value = buffer.format(value).as_bytes();
    line(out, b"add ", key);
    number(out, b" 0 ", ttl.wire());
    number(out, b" ", value.len());
    end(out);
    out.put(value);
    end(out);
}

fn line(out: &mut Outbound, word: &[u8], key: &Key) {
    out.put(word);
    out.put(key.raw());
}

fn end(out: &mut Outbound) {
    out.put(b"\r\n");
}

fn number(out: &mut Outbound, before: &[u8], number: impl itoa::Integer) {
    out.put(before);
    out.put(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::num::NonZeroU32;

    use bytes::Bytes;

    use super::*;

    fn encoded(key: &[u8], work: Work) -> String {
        let mut out = Outbound::default();
        request(&mut out, Some(&Key::new(b"", key, Vec::new()).unwrap()), &work);
        let mut slices = [IoSlice::new(&[]); 8];
        let used = out.slices(&mut slices);
        String::from_utf8(slices[..used].iter().flat_map(|s| s.to_vec()).collect()).unwrap()
    }

    fn keyed(verb: Verb) -> String {
        encoded(b"cow", Work::Keyed(verb))
    }

    fn store(mode: StoreMode, flags: u32, ttl: Ttl, cas: u64) -> Verb {
        Verb::Store { mode, value: Bytes::from_static(b"moo"), flags, ttl, cas }
    }

    #[test]
    fn reads() {
        assert_eq!(keyed(Verb::Get { touch: None }), "gets cow\r\n");
        assert_eq!(keyed(Verb::Get { touch: Some(Ttl::secs(60, 0)) }), "gats 60 cow\r\n");
        assert_eq!(keyed(Verb::Touch { ttl: Ttl::NEVER }), "touch cow 0\r\n");
    }

    #[test]
    fn stores() {
        for (mode, word) in [
            (StoreMode::Set, "set"),
            (StoreMode::Add, "add"),
            (StoreMode::Replace, "replace"),
            (StoreMode::Append, "append"),
            (StoreMode::Prepend, "prepend"),
        ] {
            assert_eq!(keyed(store(mode, 7, Ttl::secs(9, 0), 0)), format!("{word} cow 7 9 3\r\nmoo\r\n"));
        }
        let all = store(StoreMode::Set, u32::MAX, Ttl::NEVER, u64::MAX);
        assert_eq!(keyed(all), "cas cow 4294967295 0 3 18446744073709551615\r\nmoo\r\n");
    }

    #[test]
    fn deletes_and_counters() {
        assert_eq!(keyed(Verb::Delete { cas: 0 }), "delete cow\r\n");
        let count = |direction| Verb::Count { direction, delta: 2, initial: Some((5, Ttl::secs(60, 0))), cas: 0 };
        assert_eq!(keyed(count(Direction::Incr)), "incr cow 2\r\n");
        assert_eq!(keyed(count(Direction::Decr)), "decr cow 2\r\n");
        let create = Work::Create { direction: Direction::Incr, delta: 2, value: 5, ttl: Ttl::secs(60, 0) };
        assert_eq!(encoded(b"cow", create), "add cow 0 60 1\r\n5\r\n");
    }

    #[test]
    fn on_servers() {
        for (verb, line) in [
            (ServerVerb::Noop, "version\r\n"),
            (ServerVerb::Version, "version\r\n"),
            (ServerVerb::Stats, "stats\r\n"),
            (ServerVerb::FlushAll { delay: 0 }, "flush_all\r\n"),
            (ServerVerb::FlushAll { delay: 2_592_001 }, "flush_all 2592000\r\n"),
            (ServerVerb::Discover { by: DiscoverBy::Config }, "config get cluster\r\n"),
            (ServerVerb::Discover { by: DiscoverBy::Item }, "get AmazonElastiCache:cluster\r\n"),
        ] {
            assert_eq!(encoded(b"cow", Work::Server(verb)), line);
        }
    }

    /// An operation without a command is not sent, and neither is a key that a line cannot carry, in any operation.
    #[test]
    fn nothing_else() {
        let vivify = NonZeroU32::MIN;
        for verb in
            [Verb::Lease { vivify, recache: 0, wait: false }, Verb::Inspect, Verb::Invalidate { ttl: None, cas: 0 }]
        {
            assert_eq!(keyed(verb), "");
        }
        for key in [&b"a b"[..], b"a\r\nflush_all", b"\0", b"\x7f"] {
            assert_eq!(encoded(key, Work::Keyed(Verb::Get { touch: None })), "");
            assert_eq!(encoded(key, Work::Keyed(store(StoreMode::Set, 0, Ttl::NEVER, 0))), "");
        }
    }
}
