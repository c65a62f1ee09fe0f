use super::*;

/// Whether it is refused with a reason.
fn is_bad<T>(result: Result<T, Refusal>) -> bool {
    matches!(result, Err(Refusal::BadRequest(why)) if !why.is_empty())
}

fn parse(method: &str, key: &str, args: &str) -> Result<Command, Refusal> {
    Command::parse(Parts { method, key: key.into(), args: args.as_bytes(), ..Parts::default() })
}

fn put(if_match: Option<&str>, if_none_match: Option<&str>) -> Result<Condition, Refusal> {
    let (if_match, if_none_match) = (if_match.map(str::as_bytes), if_none_match.map(str::as_bytes));
    match Command::parse(Parts { method: "PUT", key: b"k".to_vec(), if_match, if_none_match, ..Parts::default() })? {
        Command::WithBody(WithBody::Store { condition, .. }) => Ok(condition),
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_are_what_follows_the_location() {
    let key = |unparsed: &str| String::from_utf8(key(Some(unparsed.as_bytes()), b"/kv/parsed", b"/kv/"));
    assert_eq!(key("/kv/cow").as_deref(), Ok("cow"));
    assert_eq!(key("/kv/cow?ttl=1").as_deref(), Ok("cow"));
    assert_eq!(key("/kv/a%20b%0Ac").as_deref(), Ok("a b\nc"));
    assert_eq!(key("/kv//a/./b").as_deref(), Ok("/a/./b"));
    assert_eq!(key("/kv/100%").as_deref(), Ok("100%"));
    assert_eq!(key("/kv/?keys=a").as_deref(), Ok(""));
    assert_eq!(key("/other").as_deref(), Ok("parsed"));
    assert_eq!(key("/kv").as_deref(), Ok("parsed"));
}

#[test]
fn keys_may_be_binary() {
    assert_eq!(key(Some(b"/kv/%FF%01%7f"), b"", b"/kv/"), [0xff, 1, 0x7f]);
}

#[test]
fn subrequests_and_regular_expressions_have_the_parsed_uri() {
    assert_eq!(key(None, b"/kv/a b", b"/kv/"), b"a b");
    assert_eq!(key(Some(b"/x/y"), b"/x/y", b"^/x"), b"/x/y");
}

#[test]
fn get() {
    let key = || b"cow".to_vec();
    assert_eq!(parse("GET", "cow", ""), Ok(Command::Plain(Plain::Get { key: key() })));
    assert_eq!(parse("HEAD", "cow", ""), Ok(Command::Plain(Plain::Get { key: key() })));
    assert_eq!(parse("POST", "cow", "gat=60"), Ok(Command::Plain(Plain::GetAndTouch { key: key(), ttl: 60 })));
    for args in ["gat", "gat=-1", "gat=60&touch=60"] {
        assert!(is_bad(parse("POST", "cow", args)), "{args}");
    }
}

/// R48: whatever changes something, also beside something that does not.
#[test]
fn r48_get_and_head_change_nothing() {
    for method in ["GET", "HEAD"] {
        for action in ACTIONS {
            for key in ["cow", ""] {
                for args in
                    [action.into(), format!("{action}=1"), format!("inspect&{action}"), format!("keys=a&{action}=")]
                {
                    assert_eq!(parse(method, key, &args), Err(Refusal::OnlyByPost), "{method} {key} {args}");
                }
            }
        }
    }
}

#[test]
fn lease() {
    let lease = |vivify, recache| Ok(Command::Plain(Plain::Lease { key: b"cow".to_vec(), vivify, recache }));
    assert_eq!(parse("POST", "cow", "lease=30"), lease(30, 0));
    assert_eq!(parse("POST", "cow", "lease=2592000&recache=10"), lease(2_592_000, 10));
    for args in ["lease", "lease=0", "lease=x", "lease=2592001", "lease=30&recache=x", "lease=30&touch=1"] {
        assert!(is_bad(parse("POST", "cow", args)), "{args}");
    }
}

#[test]
fn inspect() {
    assert_eq!(parse("GET", "cow", "inspect"), Ok(Command::Plain(Plain::Inspect { key: b"cow".to_vec() })));
}

#[test]
fn servers_by_their_numbers() {
    let on_server = |server, action| Ok(Command::Plain(Plain::OnServer { server, action }));
    assert_eq!(parse("GET", "", "noop=0"), on_server(0, Action::Noop));
    assert_eq!(parse("GET", "", "stats=2"), on_server(2, Action::Stats));
    assert_eq!(parse("POST", "", "flush_all=1"), on_server(1, Action::FlushAll(0)));
    assert_eq!(parse("POST", "", "flush_all=1&delay=60"), on_server(1, Action::FlushAll(60)));
    for args in ["noop", "noop=x", "stats=-1", "stats=0&noop=0"] {
        assert!(is_bad(parse("GET", "", args)), "{args}");
    }
    for args in ["flush_all", "flush_all=x", "flush_all=0&delay=x", "flush_all=0&delay=2592001"] {
        assert!(is_bad(parse("POST", "", args)), "{args}");
    }
    assert!(is_bad(parse("POST", "key", "flush_all=0")), "a key is not a server");
}

#[test]
fn invalidate() {
    let tag = Tag::of(3, 0, b"cow");
    let quoted = tag.to_string();
    let parse = |if_match: Option<&str>, args: &'static str| {
        let if_match = if_match.map(str::as_bytes);
        Command::parse(Parts {
            method: "POST",
            key: b"k".to_vec(),
            args: args.as_bytes(),
            if_match,
            ..Parts::default()
        })
    };
    let expected = |which, ttl| Ok(Command::Plain(Plain::Invalidate { key: b"k".to_vec(), which, ttl }));
    assert_eq!(parse(None, "invalidate"), expected(Which::Any, 0));
    assert_eq!(parse(None, "invalidate&ttl=9"), expected(Which::Any, 9));
    assert_eq!(parse(Some("*"), "invalidate"), expected(Which::Present, 0));
    assert_eq!(parse(Some(&quoted), "invalidate"), expected(Which::Tagged(vec![tag]), 0));
    assert_eq!(parse(Some("3"), "invalidate"), Err(Refusal::PreconditionFailed));
    assert!(is_bad(parse(None, "invalidate&ttl=x")));
    assert!(is_bad(parse(None, "invalidate&touch=1")));
}

#[test]
fn get_several() {
    let keys = vec![b"a".to_vec(), b"b,c".to_vec(), b" ".to_vec()];
    assert_eq!(parse("GET", "", "keys=a,b%2Cc,%20"), Ok(Command::Plain(Plain::GetMulti { keys })));
    assert_eq!(parse("GET", "", "servers"), Ok(Command::Plain(Plain::Servers)));
    assert!(is_bad(parse("GET", "", "")));
    assert!(is_bad(parse("GET", "", "keys=")));

    let list = |n| format!("keys={}", vec!["k"; n].join(","));
    assert!(parse("GET", "", &list(MAX_KEYS)).is_ok());
    assert!(is_bad(parse("GET", "", &list(MAX_KEYS + 1))));
}

#[test]
fn put_conditions() {
    assert_eq!(put(None, None), Ok(Condition::None));
    assert_eq!(put(None, Some("*")), Ok(Condition::Absent));
    assert_eq!(put(Some("*"), None), Ok(Condition::Present));
    let tags = [Tag::of(17, 0, b"cow"), Tag::vacant(3, 11)];
    let list = tags.map(|tag| tag.to_string()).join(", ");
    assert_eq!(put(Some(&list), None), Ok(Condition::Tagged(tags.to_vec())));
    for foreign in ["\"17\"", "W/\"17-vacant-0000000b\"", "17", "\"\"", ""] {
        assert_eq!(put(Some(foreign), None), Err(Refusal::PreconditionFailed), "{foreign}");
    }
    let unknown = Err(Refusal::UnknownCondition("If-None-Match"));
    for (if_match, if_none_match) in
        [(None, "\"17\""), (None, "*, *"), (None, ""), (Some("*"), "*"), (Some(&list[..]), "*")]
    {
        assert_eq!(put(if_match, Some(if_none_match)), unknown, "{if_match:?} {if_none_match}");
    }
}

#[test]
fn put_flags_and_ttl() {
    let put = |flags: &str, args: &str| {
        let flags = Some(flags.as_bytes());
        Command::parse(Parts { method: "PUT", key: b"k".to_vec(), args: args.as_bytes(), flags, ..Parts::default() })
    };
    let store = |flags, ttl| {
        Ok(Command::WithBody(WithBody::Store { key: b"k".to_vec(), condition: Condition::None, flags, ttl }))
    };
    assert_eq!(put("0", ""), store(0, 0));
    assert_eq!(put("4294967295", "ttl=4294967295"), store(u32::MAX, u32::MAX));
    assert!(is_bad(put("4294967296", "")));
    assert!(is_bad(put("0x1", "")));
    assert!(is_bad(put("+1", "")));
    assert!(is_bad(put("", "")));
    assert!(is_bad(put("1", "ttl=1h")));
}

#[test]
fn post() {
    let count = |direction, initial, ttl| {
        Ok(Command::Plain(Plain::Count { key: b"n".to_vec(), direction, delta: 2, initial, ttl }))
    };
    assert_eq!(parse("POST", "n", "incr=2"), count(Direction::Up, None, 0));
    assert_eq!(parse("POST", "n", "decr=2&initial=0&ttl=9"), count(Direction::Down, Some(0), 9));
    assert_eq!(parse("POST", "n", "touch=0"), Ok(Command::Plain(Plain::Touch { key: b"n".to_vec(), ttl: 0 })));

    let extend = |end| Ok(Command::WithBody(WithBody::Extend { key: b"n".to_vec(), end }));
    assert_eq!(parse("POST", "n", "append"), extend(End::Back));
    assert_eq!(parse("POST", "n", "prepend="), extend(End::Front));

    for args in ["", "incr", "incr=x", "incr=-1", "incr=1&decr=1", "incr=1&append", "incr=1&initial=x", "touch=x"] {
        assert!(is_bad(parse("POST", "n", args)), "{args}");
    }
}

/// What is not known is refused, and never ignored.
#[test]
fn arguments_are_known_or_refused() {
    for (method, key, args, bad) in [
        ("PUT", "k", "tll=5", "tll"),
        ("PUT", "k", "ttl=5&ttl=6", "ttl"),
        ("PUT", "k", "ttl=5&TTL=5", "TTL"),
        ("PUT", "k", "ttl=5&%74tl=5", "%74tl"),
        ("PUT", "k", "=5", ""),
        ("PUT", "", "keys=a", "keys"),
        ("PUT", "k", "append", "append"),
        ("GET", "k", "touched=1&keys=a", "touched"),
        ("HEAD", "k", "ttl=1", "ttl"),
        ("GET", "k", "servers", "servers"),
        ("GET", "k", "inspect=1", "inspect"),
        ("GET", "", "inspect", "inspect"),
        ("GET", "", "servers=1", "servers"),
        ("GET", "", "keys=a&keys=b", "keys"),
        ("GET", "", "keys=a&delay=1", "delay"),
        ("GET", "", "key=a", "key"),
        ("POST", "k", "icnr=1", "icnr"),
        ("POST", "k", "incr=1&inital=0", "inital"),
        ("POST", "k", "incr=1&incr=2", "incr"),
        ("POST", "k", "decr=1&ttl=9", "ttl"),
        ("POST", "k", "touch=1&ttl=9", "ttl"),
        ("POST", "k", "gat=1&initial=9", "initial"),
        ("POST", "k", "lease=1&ttl=9", "ttl"),
        ("POST", "k", "invalidate=60", "invalidate"),
        ("POST", "k", "invalidate&delay=1", "delay"),
        ("POST", "k", "append=1", "append"),
        ("POST", "k", "prepend&ttl=1", "ttl"),
        ("POST", "", "flush_all=0&dealy=60", "dealy"),
        ("DELETE", "k", "ttl=1", "ttl"),
        ("DELETE", "k", "invalidate", "invalidate"),
    ] {
        assert_eq!(parse(method, key, args), Err(Refusal::BadArgument(bad.into())), "{method} {key} {args}");
    }
    for args in ["&", "ttl=1&", "&&ttl=1"] {
        assert!(parse("PUT", "k", args).is_ok(), "{args}");
    }
}

#[test]
fn delete() {
    let delete = |if_match: Option<&'static str>| {
        let if_match = if_match.map(str::as_bytes);
        Command::parse(Parts { method: "DELETE", key: b"k".to_vec(), if_match, ..Parts::default() })
    };
    let expected = |which| Ok(Command::Plain(Plain::Delete { key: b"k".to_vec(), which }));
    assert_eq!(delete(None), expected(Which::Any));
    assert_eq!(delete(Some("*")), expected(Which::Present));
    assert_eq!(delete(Some("\"3-vacant-0000000b\"")), expected(Which::Tagged(vec![Tag::vacant(3, 11)])));
    assert_eq!(delete(Some("3")), Err(Refusal::PreconditionFailed));
}

/// R61: a condition is met, or nothing is done.
#[test]
fn r61_no_condition_is_ignored() {
    let arguments = |action: &str| match action {
        "append" | "prepend" | "invalidate" => action.to_string(),
        _ => format!("{action}=1"),
    };
    let actions = ACTIONS.map(|action| ("POST", arguments(action))).into_iter();
    for (method, args) in actions.chain([("PUT", String::new()), ("DELETE", String::new())]) {
        let key = if args.starts_with("flush_all") { Vec::new() } else { b"k".to_vec() };
        let parse = |if_match, if_none_match, unknown| {
            let (key, args) = (key.clone(), args.as_bytes());
            Command::parse(Parts { method, key, args, if_match, if_none_match, unknown, flags: None })
        };
        assert!(parse(None, None, None).is_ok(), "{method} {args}");
        assert_eq!(parse(None, None, Some("If-Range")), Err(Refusal::UnknownCondition("If-Range")));
        for (if_match, if_none_match) in [
            (Some(&b"*"[..]), None),
            (Some(b"\"3-vacant-0000000b\""), None),
            (Some(b"\"3\""), None),
            (None, Some(&b"*"[..])),
            (None, Some(b"\"3-vacant-0000000b\"")),
            (Some(b"*"), Some(b"*")),
        ] {
            let knows = match (if_match, if_none_match) {
                (Some(_), None) => matches!(method, "PUT" | "DELETE") || args == "invalidate",
                (None, Some(b"*")) => method == "PUT",
                _ => false,
            };
            let command = parse(if_match, if_none_match, None);
            let what = format!("{method} {args} {if_match:?} {if_none_match:?}: {command:?}");
            assert_eq!(matches!(command, Err(Refusal::UnknownCondition(_))), !knows, "{what}");
        }
    }
}

#[test]
fn other_methods() {
    for method in ["OPTIONS", "PATCH", "UNKNOWN"] {
        assert_eq!(parse(method, "k", ""), Err(Refusal::MethodNotAllowed));
    }
}
