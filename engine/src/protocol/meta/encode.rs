//! Requests to bytes.

use crate::operation::key::Key;
use crate::operation::request::{Direction, ServerVerb, StoreMode, Ttl, Verb};
use crate::operation::work::Work;
use crate::protocol::outbound::Outbound;
use crate::protocol::text;
use crate::protocol::token::Token;

/// The first questions to a new connection, answered by `VERSION` and `MN`. They change nothing in any dialect.
pub(crate) fn greeting(out: &mut Outbound) {
    server(out, ServerVerb::Version);
    server(out, ServerVerb::Noop);
}

/// Asks for an empty answer.
pub(crate) fn noop(out: &mut Outbound) {
    server(out, ServerVerb::Noop);
}

/// Tries whether a server speaks this dialect, and not just a similar one: reads the key with the flags of later reads,
/// and stores it with the flags of later stores. The value is empty: a server that refuses the store and reads the
/// value as a command finds an empty one, and the `mn` that follows shows it. The item expires after a second.
pub(crate) fn tries(out: &mut Outbound, key: &Key) {
    command(out, b"mg ", key, None);
    out.put(b" s v f c t l h u k T1");
    number(out, b" O", TRIED_GET);
    out.put(b"\r\n");
    command(out, b"ms ", key, Some(0));
    out.put(b" T1 F1");
    number(out, b" O", TRIED_SET);
    out.put(b"\r\n\r\n");
    server(out, ServerVerb::Noop);
}

/// The tokens of the read and the store.
pub(crate) const TRIED_GET: Token = 1;
pub(crate) const TRIED_SET: Token = 2;

/// Appends the request.
#[inline]
pub(crate) fn request(out: &mut Outbound, key: Option<&Key>, work: &Work, token: Token) {
    match (work, key) {
        (Work::Keyed(verb), Some(key)) => keyed(out, key, verb, token),
        (Work::SetBack { life, .. }, Some(key)) => touch(out, key, *life, token),
        (Work::Server(verb), _) => server(out, *verb),
        (Work::Create { value, ttl, .. }, Some(key)) => create(out, key, *value, *ttl, token),
        (Work::Keyed(_) | Work::SetBack { .. } | Work::Create { .. }, None) => {}
    }
}

/// Appends the request for `verb` to the server itself. It carries no token: its replies differ from all others.
fn server(out: &mut Outbound, verb: ServerVerb) {
    match verb {
        ServerVerb::Noop => out.put(b"mn\r\n"),
        ServerVerb::Version => out.put(b"version\r\n"),
        ServerVerb::Stats => out.put(b"stats\r\n"),
        ServerVerb::FlushAll { delay: 0 } => out.put(b"flush_all\r\n"),
        ServerVerb::FlushAll { delay } => {
            number(out, b"flush_all ", Ttl::bounded(delay));
            out.put(b"\r\n");
        }
        ServerVerb::Discover { by } => text::encode::discover(out, by),
    }
}

/// Appends the request for `verb` on `key`.
fn keyed(out: &mut Outbound, key: &Key, verb: &Verb, token: Token) {
    match verb {
        Verb::Get { touch } => {
            command(out, b"mg ", key, None);
            // The reply names the key, too. A proxy that mixes connections up may cause two equal tokens, and then the
            // key protects one user's item from another.
            match touch {
                None => number(out, b" v f c k O", token),
                Some(ttl) => {
                    // The old life is requested in front of the new one, so the reply has the old one.
                    number(out, b" v f c t k T", ttl.wire());
                    number(out, b" O", token);
                }
            }
            out.put(b"\r\n");
        }
        Verb::Lease { vivify, recache, .. } => lease(out, key, (vivify.get(), *recache), token),
        Verb::Inspect => {
            command(out, b"mg ", key, None);
            out.put(b" s f c t l h k u");
            end(out, token);
        }
        Verb::Store { mode, value, flags, ttl, cas } => {
            command(out, b"ms ", key, Some(value.len()));
            store_flags(out, *mode, *flags, *ttl);
            compare(out, *cas);
            end(out, token);
            out.put_value(value);
            out.put(b"\r\n");
        }
        Verb::Delete { cas } => {
            command(out, b"md ", key, None);
            compare(out, *cas);
            end(out, token);
        }
        Verb::Invalidate { ttl, cas } => invalidate(out, key, *ttl, *cas, token),
        Verb::Count { direction, delta, initial, cas } => {
            command(out, b"ma ", key, None);
            count_flags(out, *direction, *delta, *initial);
            compare(out, *cas);
            out.put(b" v");
            end(out, token);
        }
        Verb::Touch { ttl } => touch(out, key, *ttl, token),
    }
}

/// Appends the store that creates a counter. Servers that need it were found when they spoke text.
#[cold]
fn create(out: &mut Outbound, key: &Key, value: u64, ttl: Ttl, token: Token) {
    let mut buffer = itoa::Buffer::new();
    let value = buffer.format(value).as_bytes();
    command(out, b"ms ", key, Some(value.len()));
    store_flags(out, StoreMode::Add, 0, ttl);
    end(out, token);
    out.put(value);
    out.put(b"\r\n");
}

fn lease(out: &mut Outbound, key: &Key, (vivify, recache): (u32, u32), token: Token) {
    command(out, b"mg ", key, None);
    out.put(b" v f c k");
    number(out, b" N", Ttl::bounded(vivify));
    if recache != 0 {
        number(out, b" R", Ttl::bounded(recache));
    }
    end(out, token);
}

fn invalidate(out: &mut Outbound, key: &Key, ttl: Option<Ttl>, cas: u64, token: Token) {
    command(out, b"md ", key, None);
    out.put(b" I");
    if let Some(ttl) = ttl {
        number(out, b" T", ttl.wire());
    }
    compare(out, cas);
    end(out, token);
}

fn store_flags(out: &mut Outbound, mode: StoreMode, flags: u32, ttl: Ttl) {
    match mode {
        StoreMode::Set => {}
        StoreMode::Add => out.put(b" ME"),
        StoreMode::Replace => out.put(b" MR"),
        StoreMode::Append => out.put(b" MA"),
        StoreMode::Prepend => out.put(b" MP"),
    }
    if ttl.wire() != 0 {
        number(out, b" T", ttl.wire());
    }
    if flags != 0 {
        number(out, b" F", flags);
    }
}

fn count_flags(out: &mut Outbound, direction: Direction, delta: u64, initial: Option<(u64, Ttl)>) {
    if direction == Direction::Decr {
        out.put(b" MD");
    }
    number(out, b" D", delta);
    if let Some((value, ttl)) = initial {
        number(out, b" N", ttl.wire());
        number(out, b" J", value);
    }
}

/// Appends the request that sets the life of any item there.
fn touch(out: &mut Outbound, key: &Key, ttl: Ttl, token: Token) {
    command(out, b"mg ", key, None);
    // Size, version, life and key show whether the item is usable, and what to undo if it is not.
    out.put(b" s c t k");
    number(out, b" T", ttl.wire());
    end(out, token);
}

/// The command's word, its key, the length of its value, and `b` for an encoded key.
fn command(out: &mut Outbound, word: &[u8], key: &Key, len: Option<usize>) {
    out.put(word);
    key.wire(|bytes| out.put(bytes));
    if let Some(len) = len {
        number(out, b" ", len);
    }
    if key.is_binary() {
        out.put(b" b");
    }
}

/// The token, and the end of the line.
fn end(out: &mut Outbound, token: Token) {
    number(out, b" O", token);
    out.put(b"\r\n");
}

fn compare(out: &mut Outbound, cas: u64) {
    if cas != 0 {
        number(out, b" C", cas);
    }
}

fn number(out: &mut Outbound, flag: &[u8], number: impl itoa::Integer) {
    out.put(flag);
    out.put(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::num::NonZeroU32;

    use bytes::Bytes;

    use super::*;
    use crate::operation::request::Ttl;

    fn encoded(key: &[u8], verb: Verb) -> String {
        let mut out = Outbound::default();
        keyed(&mut out, &Key::new(b"", key, Vec::new()).unwrap(), &verb, 7);
        let mut slices = [IoSlice::new(&[]); 8];
        let used = out.slices(&mut slices);
        String::from_utf8(slices[..used].iter().flat_map(|s| s.to_vec()).collect()).unwrap()
    }

    fn store(mode: StoreMode, flags: u32, ttl: Ttl, cas: u64) -> Verb {
        Verb::Store { mode, value: Bytes::from_static(b"moo"), flags, ttl, cas }
    }

    #[test]
    fn reads() {
        assert_eq!(encoded(b"cow", Verb::Get { touch: None }), "mg cow v f c k O7\r\n");
        assert_eq!(encoded(b"cow", Verb::Get { touch: Some(Ttl::secs(60, 0)) }), "mg cow v f c t k T60 O7\r\n");
        assert_eq!(encoded(b"cow", Verb::Get { touch: Some(Ttl::NEVER) }), "mg cow v f c t k T0 O7\r\n");
        assert_eq!(encoded(b"cow", Verb::Touch { ttl: Ttl::secs(9, 0) }), "mg cow s c t k T9 O7\r\n");
        assert_eq!(encoded(&[4], Verb::Get { touch: None }), "mg BA== b v f c k O7\r\n");
    }

    #[test]
    fn the_greeting_and_what_is_tried() {
        let written = |encode: &dyn Fn(&mut Outbound)| {
            let mut out = Outbound::default();
            encode(&mut out);
            let mut slices = [IoSlice::new(&[]); 8];
            let used = out.slices(&mut slices);
            String::from_utf8(slices[..used].iter().flat_map(|s| s.to_vec()).collect()).unwrap()
        };
        assert_eq!(written(&greeting), "version\r\nmn\r\n");
        let key = Key::new(b"p:", b"\0", Vec::new()).unwrap();
        assert_eq!(
            written(&|out| tries(out, &key)),
            "mg cDoA b s v f c t l h u k T1 O1\r\nms cDoA 0 b T1 F1 O2\r\n\r\nmn\r\n"
        );
    }

    #[test]
    fn stores() {
        let modes = [
            (StoreMode::Set, "ms cow 3 O7\r\nmoo\r\n"),
            (StoreMode::Add, "ms cow 3 ME O7\r\nmoo\r\n"),
            (StoreMode::Replace, "ms cow 3 MR O7\r\nmoo\r\n"),
            (StoreMode::Append, "ms cow 3 MA O7\r\nmoo\r\n"),
            (StoreMode::Prepend, "ms cow 3 MP O7\r\nmoo\r\n"),
        ];
        for (mode, expected) in modes {
            assert_eq!(encoded(b"cow", store(mode, 0, Ttl::NEVER, 0)), expected);
        }
        let all = store(StoreMode::Set, u32::MAX, Ttl::secs(60, 0), u64::MAX);
        assert_eq!(encoded(b"k", store(StoreMode::Append, 0, Ttl::NEVER, 5)), "ms k 3 MA C5 O7\r\nmoo\r\n");
        assert_eq!(encoded(b" ", all), "ms IA== 3 b T60 F4294967295 C18446744073709551615 O7\r\nmoo\r\n");
    }

    /// With a longer time, memcached 1.6.18 never lets the item be made anew, and flushes at once.
    #[test]
    fn no_more_than_thirty_days() {
        let lease = Verb::Lease { vivify: NonZeroU32::MAX, recache: 2_592_001, wait: false };
        assert_eq!(encoded(b"k", lease), "mg k v f c k N2592000 R2592000 O7\r\n");
        let mut out = Outbound::default();
        server(&mut out, ServerVerb::FlushAll { delay: 2_592_001 });
        let mut slices = [IoSlice::new(&[]); 1];
        assert_eq!(out.slices(&mut slices), 1);
        assert_eq!(&*slices[0], b"flush_all 2592000\r\n");
    }

    #[test]
    fn deletes_and_counters() {
        assert_eq!(encoded(b"k", Verb::Delete { cas: 0 }), "md k O7\r\n");
        assert_eq!(encoded(b"k", Verb::Delete { cas: 5 }), "md k C5 O7\r\n");
        let count = |direction, initial| Verb::Count { direction, delta: 2, initial, cas: 0 };
        assert_eq!(encoded(b"k", count(Direction::Incr, None)), "ma k D2 v O7\r\n");
        assert_eq!(encoded(b"k", count(Direction::Decr, None)), "ma k MD D2 v O7\r\n");
        let initial = Some((u64::MAX, Ttl::secs(60, 0)));
        assert_eq!(encoded(b"k", count(Direction::Incr, initial)), "ma k D2 N60 J18446744073709551615 v O7\r\n");
        let one = Verb::Count { direction: Direction::Incr, delta: 2, initial: None, cas: 5 };
        assert_eq!(encoded(b"k", one), "ma k D2 C5 v O7\r\n");
    }
}
