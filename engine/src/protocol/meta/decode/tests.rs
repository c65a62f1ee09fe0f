#![allow(clippy::arithmetic_side_effects)]

use bytes::{Buf, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::protocol::line::MAX_LINE;

/// A reply with everything owned, to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reply {
    Head { code: Code, token: Option<u64>, key: Option<Vec<u8>>, flags: u32, cas: u64, value: Option<Vec<u8>> },
    Noop,
    Ok,
    Stat(Vec<u8>),
    End,
    Version(Vec<u8>),
    ServerError(Vec<u8>),
    ClientError(Vec<u8>),
}

/// Feeds the pieces one after the other and collects the replies up to the first malformed one; values above `limit`
/// are skipped.
fn decode_pieces<'a>(pieces: impl Iterator<Item = &'a [u8]>, limit: usize) -> (Vec<Reply>, bool) {
    let mut decoder = Decoder::default();
    let mut buffer = BytesMut::new();
    let mut replies = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        match drain(&mut decoder, &mut buffer, &mut replies, limit) {
            Ok(()) => {}
            Err(_) => return (replies, false),
        }
    }
    (replies, true)
}

fn drain(
    decoder: &mut Decoder,
    buffer: &mut BytesMut,
    replies: &mut Vec<Reply>,
    limit: usize,
) -> Result<(), Malformed> {
    loop {
        if decoder.in_value() {
            let Some(bytes) = decoder.value(buffer)? else { return Ok(()) };
            let Some(Reply::Head { value, .. }) = replies.last_mut() else { panic!("a value without a line") };
            *value = Some(bytes.to_vec());
            continue;
        }
        let Some((line, used)) = decoder.line(buffer)? else { return Ok(()) };
        let mut size = None;
        replies.push(match line {
            Line::Number(_) | Line::Servers(_) => panic!("meta has no such line"),
            Line::Head(head) => {
                size = (head.code == Code::Value).then_some(head.size);
                let key = head.key.map(<[u8]>::to_vec);
                Reply::Head { code: head.code, token: head.token, key, flags: head.flags, cas: head.cas, value: None }
            }
            Line::Noop => Reply::Noop,
            Line::Ok => Reply::Ok,
            Line::Stat(text) => Reply::Stat(text.to_vec()),
            Line::End => Reply::End,
            Line::Version(text) => Reply::Version(text.to_vec()),
            Line::ServerError(text) => Reply::ServerError(text.to_vec()),
            Line::ClientError(text) => Reply::ClientError(text.to_vec()),
        });
        buffer.advance(used);
        match size {
            Some(size) if size > limit => decoder.skip(size, b"\r\n"),
            Some(size) => decoder.want(size, b"\r\n"),
            None => {}
        }
    }
}

const LIMIT: usize = 1000;

/// Decodes in one piece, byte by byte, and at every split in two, and insists on one result.
fn decode(input: &[u8]) -> (Vec<Reply>, bool) {
    let whole = decode_pieces([input].into_iter(), LIMIT);
    assert_eq!(whole, decode_pieces(input.chunks(1), LIMIT), "byte by byte: {}", input.escape_ascii());
    for at in 0..input.len() {
        let (a, b) = input.split_at(at);
        assert_eq!(whole, decode_pieces([a, b].into_iter(), LIMIT), "split at {at}: {}", input.escape_ascii());
    }
    whole
}

fn head(code: Code) -> Reply {
    Reply::Head { code, token: None, key: None, flags: 0, cas: 0, value: None }
}

fn good(input: &[u8]) -> Vec<Reply> {
    let (replies, ok) = decode(input);
    assert!(ok, "refused: {}", input.escape_ascii());
    replies
}

fn bad(input: &[u8]) {
    let (replies, ok) = decode(input);
    assert!(!ok, "accepted: {} as {replies:?}", input.escape_ascii());
}

#[test]
fn replies_as_memcached_1_6_18_sends_them() {
    let replies = good(
        b"EN ka O1\r\nHD O2 c1\r\nVA 1 f7 c1 ka t-1 s1 O3\r\nx\r\nEN kYWI= b O33\r\n\
          CLIENT_ERROR cannot increment or decrement non-numeric value\r\nVA 1 O5\r\n5\r\nNS O8\r\nEX O10\r\nNF O11\r\n\
          VERSION 1.6.18\r\nMN\r\nSTAT pid 7\r\nEND\r\nOK\r\nERROR\r\nSERVER_ERROR object too large for cache\r\nEN\r\nHD\r\n",
    );
    let with = |code, token, key: &[u8], flags, cas, value: Option<&[u8]>| Reply::Head {
        code,
        token: Some(token),
        key: (!key.is_empty()).then(|| key.to_vec()),
        flags,
        cas,
        value: value.map(<[u8]>::to_vec),
    };
    let expected = vec![
        with(Code::Miss, 1, b"a", 0, 0, None),
        with(Code::Done, 2, b"", 0, 1, None),
        with(Code::Value, 3, b"a", 7, 1, Some(b"x")),
        with(Code::Miss, 33, b"YWI=", 0, 0, None),
        Reply::ClientError(b"cannot increment or decrement non-numeric value".to_vec()),
        with(Code::Value, 5, b"", 0, 0, Some(b"5")),
        with(Code::NotStored, 8, b"", 0, 0, None),
        with(Code::Exists, 10, b"", 0, 0, None),
        with(Code::NotFound, 11, b"", 0, 0, None),
        Reply::Version(b"1.6.18".to_vec()),
        Reply::Noop,
        Reply::Stat(b"pid 7".to_vec()),
        Reply::End,
        Reply::Ok,
        Reply::ClientError(b"".to_vec()),
        Reply::ServerError(b"object too large for cache".to_vec()),
        head(Code::Miss),
        head(Code::Done),
    ];
    assert_eq!(replies, expected);
}

#[test]
fn values_may_look_like_replies() {
    let value = b"\r\nEN O1\r\nVA 3\r\n";
    let mut input = format!("VA {} O9\r\n", value.len()).into_bytes();
    input.extend_from_slice(value);
    input.extend_from_slice(b"\r\nVA 0 O10\r\n\r\nMN\r\n");
    let replies = good(&input);
    assert!(matches!(&replies[0], Reply::Head { value: Some(v), .. } if v == value));
    assert!(matches!(&replies[1], Reply::Head { value: Some(v), .. } if v.is_empty()));
    assert_eq!(replies[2], Reply::Noop);
}

#[test]
fn unknown_flags_and_one_trailing_space_are_passed_over() {
    assert_eq!(good(b"HD W X Z h1 l5 t-1 s3 b \r\n"), [head(Code::Done)]);
}

#[test]
fn f15_garbage() {
    for input in [&b"\r\n"[..], b" \r\n", b"HELLO\r\n", b"hd\r\n", b"HTTP/1.1 400 Bad Request\r\n", b"MN x\r\n"] {
        bad(input);
    }
    bad(b"VERSION\r\n");
    bad(b"\x80\x81\xff\r\n");
}

#[test]
fn f16_impossible_lengths() {
    for size in ["", "-1", "+1", "0x10", "1x", "1073741825", "2147483648", "9223372036854775808"] {
        bad(format!("VA {size} O1\r\n").as_bytes());
    }
    bad(b"VA 18446744073709551616 O1\r\n");
    bad(b"VA 99999999999999999999999 O1\r\n");
    bad(b"VA\r\n");
}

#[test]
fn f17_a_value_above_the_limit_is_skipped_without_keeping_it() {
    let mut input = format!("VA {} O1\r\n", LIMIT + 1).into_bytes();
    input.extend(std::iter::repeat_n(b'x', LIMIT + 1));
    input.extend_from_slice(b"\r\nMN\r\n");
    let replies = good(&input);
    assert!(matches!(&replies[0], Reply::Head { value: Some(v), .. } if v.is_empty()));
    assert_eq!(replies[1], Reply::Noop);

    let mut decoder = Decoder::default();
    decoder.skip(1 << 30, b"\r\n");
    assert_eq!(decoder.missing(0), 0, "no room is asked for");
    let mut buffer = BytesMut::from(&[0; 5000][..]);
    assert_eq!(decoder.value(&mut buffer), Ok(None));
    assert!(buffer.is_empty());
}

#[test]
fn f18_what_follows_a_value_is_checked() {
    for input in [&b"VA 2 O1\r\nabc\r\n"[..], b"VA 2 O1\r\nab\n", b"VA 2 O1\r\nab\r\r\n", b"VA 0 O1\r\nMN\r\n"] {
        bad(input);
    }
    let mut input = format!("VA {} O1\r\n", LIMIT + 1).into_bytes();
    input.extend(std::iter::repeat_n(b'x', LIMIT + 2));
    input.extend_from_slice(b"\r\n");
    bad(&input);
}

#[test]
fn f25_a_line_without_end() {
    let mut decoder = Decoder::default();
    let line = vec![b'a'; MAX_LINE];
    assert_eq!(decoder.line(&line), Ok(None));
    assert_eq!(decoder.line(&[&line[..], b"\r"].concat()), Ok(None));
    assert_eq!(decoder.line(&[&line[..], b"\ra"].concat()), Err(Malformed::TooLong));
    bad(&[b"SERVER_ERROR ", &line[..], b"\r\n"].concat());
}

#[test]
fn f26_line_ends_and_nul() {
    for input in [&b"HD\n"[..], b"HD\r\r\n", b"HD O1\0\r\n", b"SERVER_ERROR a\0b\r\n", b"MN\n", b"\n", b"HD \r O1\r\n"]
    {
        bad(input);
    }
}

#[test]
fn a_long_line_is_looked_at_once() {
    let mut decoder = Decoder::default();
    let line = [&vec![b'a'; 5000][..], b"\n"].concat();
    for end in 1..line.len() {
        assert_eq!(decoder.line(&line[..end]), Ok(None));
        assert_eq!(decoder.scanned, end);
    }
}

/// A reply and its bytes.
fn any_reply() -> impl Strategy<Value = Vec<u8>> {
    let value = proptest::collection::vec(any::<u8>(), 0..64);
    prop_oneof![
        (value, any::<u32>(), any::<u32>(), any::<u64>()).prop_map(|(value, token, flags, cas)| {
            let mut bytes = format!("VA {} f{flags} c{cas} kcow O{token}\r\n", value.len()).into_bytes();
            bytes.extend_from_slice(&value);
            bytes.extend_from_slice(b"\r\n");
            bytes
        }),
        (prop_oneof!["HD", "EN", "NF", "NS", "EX"], any::<u32>())
            .prop_map(|(code, token)| format!("{code} O{token}\r\n").into_bytes()),
        "(SERVER_ERROR|CLIENT_ERROR|VERSION) [a-z ]{1,20}\r\n".prop_map(String::into_bytes),
        Just(b"MN\r\n".to_vec()),
    ]
}

proptest! {
    #[test]
    fn any_pieces_give_the_same_replies(
        replies in proptest::collection::vec(any_reply(), 1..8),
        cuts in proptest::collection::vec(1usize..40, 1..40),
    ) {
        let input = replies.concat();
        let whole = decode_pieces([&input[..]].into_iter(), LIMIT);
        prop_assert_eq!(whole.0.len(), replies.len());
        prop_assert!(whole.1);
        let mut pieces = Vec::new();
        let mut rest = &input[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, tail) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        prop_assert_eq!(whole, decode_pieces(pieces.into_iter(), LIMIT));
    }

    #[test]
    fn any_bytes_in_any_pieces(input in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..200) {
        let (a, b) = input.split_at(at.min(input.len()));
        let whole = decode_pieces([&input[..]].into_iter(), LIMIT);
        prop_assert_eq!(whole, decode_pieces([a, b].into_iter(), LIMIT));
    }
}

/// The same, word by word and without any haste.
fn head_of_words(code: Code, text: &[u8]) -> Result<Head<'_>, Malformed> {
    let number = |digits: &[u8]| -> Result<u64, Malformed> {
        let text = std::str::from_utf8(digits).map_err(|_| Malformed::Syntax)?;
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|_| digits).ok_or(Malformed::Syntax)
    };
    let number32 = |digits| number(digits).and_then(|n| u32::try_from(n).map_err(|_| Malformed::Syntax));
    let mut head = Head { code, ..Head::default() };
    let mut words = text.split(|&b| b == b' ');
    if code == Code::Value {
        head.size = usize::try_from(number(words.next().unwrap())?).unwrap();
    }
    for word in words {
        match word.split_first() {
            Some((b'O', token)) => head.token = Some(number(token)?),
            Some((b'k', key)) => head.key = Some(key),
            Some((b'c', cas)) => head.cas = number(cas)?,
            Some((b'f', flags)) => head.flags = number32(flags)?,
            Some((b's', size)) if code != Code::Value => head.size = number32(size)? as usize,
            Some((b't', b"-1")) => head.ttl = None,
            Some((b't', ttl)) => head.ttl = Some(number32(ttl)?),
            Some((b'l', idle)) => head.idle = number32(idle)?,
            Some((b'h', fetched)) => head.fetched = fetched == b"1",
            Some((b'W', b"")) => head.won = true,
            Some((b'Z', b"")) => head.leased = true,
            Some((b'X', b"")) => head.stale = true,
            Some((b'b', b"")) => head.binary = true,
            _ => {}
        }
    }
    (head.size <= MAX_ITEM).then_some(head).ok_or(Malformed::Syntax)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn heads_say_what_their_words_say(
        value in any::<bool>(),
        words in proptest::collection::vec("[OkcfstlhWZXbq]?(-1|-|x|[0-9]{0,3}|[0-9]{9,11}|[0-9]{18,21})", 0..6),
    ) {
        let code = if value { Code::Value } else { Code::Done };
        let text = words.join(" ");
        prop_assert_eq!(Head::parse(code, text.as_bytes(), 0), head_of_words(code, text.as_bytes()), "{}", text);
    }
}

/// An item that memcached has made by itself is named as it is (R1): whatever is in the key, the line is what is around it.
#[test]
fn r1_a_key_in_a_line_as_it_is() {
    let keys: [&[u8]; 8] =
        [b"a b", b"c\r\nHD x", b"\r\n", b"d\0e", b" k k b ", b"\x7f\xff", b"a\r\nEN O9\r\n", &[b' '; 186]];
    for key in keys {
        let around = [
            ("VA 0 f0 c3 k", " O5 W\r\n"),
            ("HD s1 f0 c2 t60 l0 h1 k", " O5\r\n"),
            ("EN k", " O5\r\n"),
            ("HD k", "\r\n"),
        ];
        for (before, behind) in around {
            let line = [before.as_bytes(), key, behind.as_bytes()].concat();
            let next = [&line[..], b"EN\r\n"].concat();
            let (read, used) = Decoder::default().line_naming(&next, key).unwrap().unwrap();
            assert_eq!(used, line.len());
            let Line::Head(head) = read else { panic!("{read:?}") };
            assert_eq!(head.key, Some(key));
            assert!(!head.binary);
            assert_eq!(head.token, behind.contains("O5").then_some(5));
            assert_eq!(head.won, behind.contains('W'));
            // The same in pieces of a byte.
            let mut decoder = Decoder::default();
            for len in 0..line.len() {
                assert_eq!(
                    decoder.line_naming(&line[..len], key),
                    Ok(None),
                    "{len} bytes of {:?}",
                    line.escape_ascii()
                );
            }
            assert_eq!(decoder.line_naming(&line, key).unwrap().unwrap().1, line.len());
        }
    }
}

#[test]
fn r1_a_key_that_is_encoded_or_another_is_read_as_before() {
    let lines: [&[u8]; 7] = [
        b"VA 1 f0 c4 kYw0KSEQgeA== b O6\r\n",
        b"VA 1 f0 c4 kother O6\r\n",
        b"VA 1 f0 c4 O6\r\n",
        b"EN\r\n",
        b"SERVER_ERROR out of k\r\n",
        b"VA 1 k\r\n",
        b"MN\r\n",
    ];
    for line in lines {
        for len in 0..=line.len() {
            let (mut one, mut other) = (Decoder::default(), Decoder::default());
            assert_eq!(one.line_naming(&line[..len], b"c\r\nHD x"), other.line(&line[..len]));
        }
    }
    // Nearly the key: the first line ends where it seems to.
    let nearly = b"VA 1 f0 c4 kc\r\nHD y O6\r\n";
    let (line, used) = Decoder::default().line_naming(nearly, b"c\r\nHD x").unwrap().unwrap();
    assert_eq!((line, used), Decoder::default().line(nearly).unwrap().unwrap());
    assert_eq!(used, 15);
}

#[test]
fn flags_that_are_no_numbers() {
    bad(b"HD O\r\n");
    bad(b"HD Ox\r\n");
    bad(b"VA 0 f4294967296\r\n");
    bad(b"VA 0 c-1\r\n");
}
