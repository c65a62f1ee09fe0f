#![allow(clippy::arithmetic_side_effects)]

use bytes::{Buf, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::protocol::line::MAX_LINE;
use crate::protocol::text::VALUE_END;

const CONFIG: Expect = Expect::Discover(DiscoverBy::Config);
const ITEM: Expect = Expect::Discover(DiscoverBy::Item);

/// What came of replies to requests, up to the first malformed one.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>, expects: &[Expect]) -> (Vec<String>, bool) {
    let (mut decoder, mut buffer) = (Decoder::default(), BytesMut::new());
    let mut expects = expects.iter();
    let mut due = expects.next();
    let mut replies = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while let Some(&expect) = due {
            if decoder.in_value() {
                match decoder.value(&mut buffer) {
                    Ok(Some(value)) => replies.push(format!("{:?}", value.escape_ascii().to_string())),
                    Ok(None) => break,
                    Err(_) => return (replies, false),
                }
            } else {
                let (line, used) = match decoder.text_line(&buffer, expect) {
                    Ok(Some(line)) => line,
                    Ok(None) => break,
                    Err(_) => return (replies, false),
                };
                replies.push(format!("{line:?}"));
                let size = match line {
                    Line::Head(head) if head.code == Code::Value => Some(head.size),
                    Line::Servers(size) => Some(size),
                    _ => None,
                };
                let goes_on = size.is_some() || matches!(line, Line::Stat(_));
                buffer.advance(used);
                if let Some(size) = size {
                    decoder.want(size, VALUE_END);
                }
                if goes_on {
                    continue;
                }
            }
            due = expects.next();
        }
    }
    (replies, true)
}

/// The same however it is cut, by the byte too.
fn decoded(bytes: &[u8], expects: &[Expect]) -> (Vec<String>, bool) {
    let whole = decode(std::iter::once(bytes), expects);
    for size in [1, 2, 3, 7] {
        assert_eq!(decode(bytes.chunks(size), expects), whole, "in pieces of {size}");
    }
    whole
}

#[test]
fn each_request_has_its_answers() {
    use Expect::*;
    let right: &[(&str, &[Expect])] = &[
        ("VALUE cow 7 3 9\r\nmoo\r\nEND\r\n", &[Get, Gat]),
        ("VALUE cow 7 0 9\r\n\r\nEND\r\n", &[Get, Gat]),
        ("VALUE cow 0 5 9\r\nEND\r\n\r\nEND\r\n", &[Get, Gat]),
        ("END\r\n", &[Get, Gat, Stats, CONFIG, ITEM]),
        ("STORED\r\n", &[Set, Conditional]),
        ("NOT_STORED\r\n", &[Set, Conditional]),
        ("EXISTS\r\n", &[Set]),
        ("NOT_FOUND\r\n", &[Set, Delete, Count, Touch]),
        ("DELETED\r\n", &[Delete]),
        ("TOUCHED\r\n", &[Touch]),
        ("18446744073709551615\r\n", &[Count]),
        ("5  \r\n", &[Count]),
        ("VERSION 1.5.22\r\n", &[Noop, Version]),
        ("STAT pid 1\r\nEND\r\n", &[Stats]),
        ("OK\r\n", &[FlushAll]),
        ("CONFIG cluster 0 7\r\n1\na||1\n\r\nEND\r\n", &[CONFIG]),
        ("VALUE AmazonElastiCache:cluster 0 7\r\n1\na||1\n\r\nEND\r\n", &[ITEM]),
        ("VALUE AmazonElastiCache:cluster 4294967295 0\r\n\r\nEND\r\n", &[ITEM]),
    ];
    let errors = ["ERROR\r\n", "CLIENT_ERROR bad data chunk\r\n", "SERVER_ERROR out of memory\r\n", "SERVER_ERROR\r\n"];
    let all = [Get, Gat, Set, Conditional, Delete, Count, Touch, Noop, Version, Stats, FlushAll, CONFIG, ITEM];
    for expect in all {
        for &(reply, of) in right {
            assert_eq!(decoded(reply.as_bytes(), &[expect]).1, of.contains(&expect), "{reply:?} for {expect:?}");
        }
        for error in errors {
            assert!(decoded(error.as_bytes(), &[expect]).1, "{error:?} for {expect:?}");
        }
        for wrong in [
            "HD\r\n",
            "VA 3\r\n",
            "EN\r\n",
            "MN\r\n",
            "\r\n",
            "moo\r\n",
            "END \r\n",
            "STORED 1\r\n",
            "end\r\n",
            "END\n",
            "STORED\0\r\n",
            "DELETED\r\r\n",
            "+OK\r\n",
            "-1\r\n",
            "18446744073709551616\r\n",
            "1 2\r\n",
            "VERSION \r\n0\r\n",
            "CONFIG cluster 0\r\n",
            "CONFIG cluster 0 8 1\r\n",
            "CONFIG cluster 0 -1\r\n",
            "CONFIG cluster 0 x\r\n",
            "CONFIG cluster 4294967296 8\r\n",
            "CONFIG cluster 0 1073741825\r\n",
            "CONFIG other 0 8\r\n",
            "CONFIG cluster  0 8\r\n",
            "VALUE AmazonElastiCache:other 0 8\r\n",
            "CONFIG cluster 0 3\r\n1\na\r\nENDS",
            "CONFIG cluster 0 3\r\n1\na||1\n\r\nEND\r\n",
        ] {
            let noop = expect == Noop && wrong.starts_with("VERSION");
            assert!(noop || !decoded(wrong.as_bytes(), &[expect]).1, "{wrong:?} for {expect:?}");
        }
    }
    assert!(!decoded(b"STORED\r\n", &[Inspect]).1 && !decoded(b"END\r\n", &[Lease]).1);
}

#[test]
fn values_have_all_of_their_line_and_their_end() {
    for wrong in [
        "VALUE cow 7 3\r\n",
        "VALUE cow 7 3 9 1\r\n",
        "VALUE cow 7 -3 9\r\n",
        "VALUE  7 3 9\r\n",
        "VALUE cow 7 3 9 \r\n",
        "VALUE cow 4294967296 3 9\r\n",
        "VALUE cow 7 1073741825 9\r\n",
        "VALUE\r\n",
        "VALUE cow\r\n",
        "VALUE cow 7 3 9\r\nmooo\r\nEND\r\n",
        "VALUE cow 7 3 9\r\nmo\r\nEND\r\n",
        "VALUE cow 7 3 9\r\nmoo\r\nVALUE ",
        "VALUE cow 7 3 9\r\nmoo\r\n\r\n",
        "VALUE cow 7 3 9\r\nmoo\r\nENDS",
        "VALUE cow 7 3 9\r\nmoo\nEND\r\n",
        "VALUE cow 7 3 9\r\nmoo\r\nERROR\r\n",
    ] {
        assert!(!decoded(wrong.as_bytes(), &[Expect::Get]).1, "{wrong:?}");
    }
    // What is wrong behind a value is seen as soon as it is there.
    let (mut decoder, mut buffer) = (Decoder::default(), BytesMut::from(&b"moo\r\nEX"[..]));
    decoder.want(3, VALUE_END);
    assert!(decoder.value(&mut buffer).is_err());
    let mut buffer = BytesMut::from(&b"moo\r\nEN"[..]);
    assert_eq!((decoder.missing(buffer.len()), decoder.value(&mut buffer)), (3, Ok(None)));
}

#[test]
fn lines_have_a_bound() {
    let long = |n| format!("CLIENT_ERROR {}\r\n", "x".repeat(n - 13));
    assert!(decoded(long(MAX_LINE).as_bytes(), &[Expect::Get]).1);
    assert!(!decoded(long(MAX_LINE + 1).as_bytes(), &[Expect::Get]).1);
    assert!(!decoded(&[b'V'; MAX_LINE + 2], &[Expect::Get]).1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Any bytes give the same, however they are cut.
    #[test]
    fn any_split_gives_the_same(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "VALUE ", "cow ", "7 ", "3 ", "9", "\r\n", "moo", "END", "END\r\n", "STORED\r\n", "ERROR\r\n", "5\r\n", "\n", "\0",
                "VALUE cow 0 3 1\r\nmoo\r\nEND\r\n", "VERSION 1\r\n", "STAT a b\r\n", "CONFIG cluster 0 3\r\n",
            ]), 0..12),
        expects in proptest::collection::vec(
            proptest::sample::select(vec![Expect::Get, Expect::Set, Expect::Count, Expect::Stats, Expect::Noop, CONFIG]), 1..6),
    ) {
        decoded(pieces.concat().as_bytes(), &expects);
    }
}
