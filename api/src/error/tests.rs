//! What errors say, and that they are those of the header.

#![forbid(unsafe_code)]

use super::*;

#[test]
fn required_is_the_version_of_the_header() {
    let header = format!("{}.{}", sys::NGX_HTTP_MEMCACHE_ABI_MAJOR, sys::NGX_HTTP_MEMCACHE_ABI_MINOR);
    assert_eq!(REQUIRED, header);
}

const HEADER: &str = include_str!("../../../include/ngx_http_memcache.h");

/// The names and numbers of the header's statuses.
fn statuses() -> Vec<(&'static str, u32)> {
    let status = |line: &'static str| {
        let mut words = line.strip_prefix("#define NGX_HTTP_MEMCACHE_")?.split_whitespace();
        Some((words.next()?, words.next()?.parse().ok()?))
    };
    let (_, all) = HEADER.split_once("ngx_http_memcache_status_t;").unwrap();
    let (all, _) = all.split_once("/* answers of").unwrap();
    all.lines().filter_map(status).collect()
}

#[test]
fn r21_every_status_of_the_header_has_a_variant() {
    // What is wrong with the crate, or the module, if it comes.
    const DEFECTS: [&str; 4] = ["CANCELLED", "STALE", "INVALID", "INTERNAL"];

    let errors: Vec<_> = statuses().into_iter().filter(|&(_, number)| number >= 16).collect();
    assert!(errors.len() > 20, "{errors:?}");
    for (name, number) in errors {
        let error = Error::from_status(number, false, b"");
        assert_eq!(matches!(error, Error::Other(_)), DEFECTS.contains(&name), "{name}: {error:?}");
        assert_eq!(error.fault() == Fault::Defect, DEFECTS.contains(&name), "{name}: {error:?}");
    }
    assert_eq!(Error::from_status(4711, false, b""), Error::Other(4711));
}

/// The header's table of what an error means: each line's name and status, and its cells.
fn meanings() -> Vec<(&'static str, u32, Vec<&'static str>)> {
    let (_, table) = HEADER.split_once(" whose fault  ").unwrap();
    let (_, table) = table.split_once("again?\n").unwrap();
    let (table, _) = table.split_once(" *\n").unwrap();
    let line = |line: &'static str| {
        let mut cells = line.trim_start_matches(" * ").split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        let name = cells.next().unwrap();
        let Some((_, status)) = statuses().into_iter().find(|(found, _)| *found == name) else {
            panic!("{name} is in the table, and nowhere else");
        };
        (name, status, cells.collect())
    };
    table.lines().map(line).collect()
}

#[test]
fn r21_the_header_says_whose_fault_it_is() {
    let words = [
        ("the network's", Fault::Network),
        ("the server's", Fault::Server),
        ("too much to do", Fault::Load),
        ("the caller's", Fault::Caller),
        ("nobody's: the worker exits", Fault::Exit),
        ("nobody's: a value", Fault::Load),
        ("the operator's", Fault::Setup),
    ];
    for (name, status, cells) in meanings() {
        let (_, fault) = words.iter().find(|(word, _)| cells[0].starts_with(word)).expect(name);
        assert_eq!(Error::from_status(status, false, b"").fault(), *fault, "{name}");
    }
    let of_operations =
        statuses().into_iter().filter(|&(name, number)| (16..32).contains(&number) && name != "CANCELLED");
    // NO_MEMORY is an error of a call, too.
    assert_eq!(meanings().len(), of_operations.count() + 1, "the table has each error of an operation");
}

#[test]
fn the_header_says_what_may_be_applied_and_what_is_tried_again() {
    let mut seen = (0, 0);
    for (name, status, cells) in meanings() {
        let applied = cells.iter().any(|cell| matches!(*cell, "maybe_applied" | "writes: perhaps"));
        assert_eq!(Error::from_status(status, true, b"").maybe_applied(), applied, "{name}");
        let again = cells.iter().any(|cell| *cell == "yes" || cell.starts_with("reads"));
        assert_eq!(Error::from_status(status, false, b"").should_retry(), again, "{name}");
        seen = (seen.0 + u32::from(applied), seen.1 + u32::from(again));
    }
    assert_eq!(seen, (4, 3), "the table was read");
}

/// The header's name of an error's status. An error of the engine without one does not compile.
fn name(error: &memcache_engine::Error) -> &'static str {
    use memcache_engine::Error::*;
    match error {
        NotSent => "NOT_SENT",
        Unknown { .. } => "UNKNOWN",
        Timeout { .. } => "TIMEOUT",
        Busy => "BUSY",
        ServerDown => "SERVER_DOWN",
        Server(_) => "SERVER",
        Client(_) => "CLIENT",
        Protocol { .. } => "PROTOCOL",
        Shutdown { .. } => "SHUTDOWN",
        NoMemory => "NO_MEMORY",
        Unsupported(_) => "UNSUPPORTED",
        // These say more in the engine: what is wrong with the key, and how large the value is.
        InvalidKey(_) | TooLarge { .. } => "",
        // The module's own numbers of servers are right: a wrong one is INVALID, a defect of this crate.
        NoSuchServer => "",
    }
}

#[test]
fn an_error_says_the_same_in_the_engine_and_here() {
    use memcache_engine::Error::*;
    let text = "out of\nmemory\x1b";
    for maybe_applied in [false, true] {
        let errors = [
            NotSent,
            Unknown { maybe_applied },
            Timeout { maybe_applied },
            Busy,
            ServerDown,
            Server(text.into()),
            Client(text.into()),
            Unsupported(text.into()),
            Protocol { maybe_applied },
            Shutdown { maybe_applied },
            NoMemory,
        ];
        for theirs in errors {
            let (_, status) = statuses().into_iter().find(|(found, _)| *found == name(&theirs)).unwrap();
            let ours = Error::from_status(status, maybe_applied, text.as_bytes());
            assert_eq!(ours.to_string(), theirs.to_string());
            assert_eq!(ours.maybe_applied(), theirs.maybe_applied(), "{theirs}");
        }
    }
}

#[test]
fn peer_text_is_escaped() {
    let error = Error::from_status(sys::NGX_HTTP_MEMCACHE_SERVER, false, b"out of\nmemory\x1b");
    assert_eq!(error.to_string(), r"SERVER_ERROR out of\nmemory\x1b");
}

#[test]
fn a_key_that_its_server_does_not_take_has_a_reason() {
    let text = "server 10.0.0.1:11211 speaks text: it takes no keys with spaces or control characters";
    let error = Error::from_status(sys::NGX_HTTP_MEMCACHE_INVALID_KEY, false, text.as_bytes());
    assert_eq!(error.to_string(), text);
    assert_eq!(error.of_key(3).to_string(), text);
    let bytes = Error::from_status(sys::NGX_HTTP_MEMCACHE_INVALID_KEY, false, b"a\nb");
    assert_eq!(bytes.to_string(), r"a\nb");
    let none = Error::from_status(sys::NGX_HTTP_MEMCACHE_INVALID_KEY, false, b"");
    assert_eq!(none.to_string(), "invalid key");
}

#[test]
fn only_what_cannot_be_applied_twice_is_retried() {
    assert!(Error::NotSent.should_retry());
    assert!(Error::Unknown { maybe_applied: false }.should_retry());
    assert!(!Error::Unknown { maybe_applied: true }.should_retry());
    assert!(!Error::Timeout { maybe_applied: false }.should_retry());
    assert!(!Error::Busy.should_retry());
    assert!(Error::Timeout { maybe_applied: true }.maybe_applied());
    assert!(!Error::TooLarge.maybe_applied());
}

/// What comes by the thousand while a server is in trouble is summed up, and only that.
#[test]
fn r28_the_module_logs_what_servers_cause() {
    use sys::*;
    for status in NGX_HTTP_MEMCACHE_NOT_SENT..=NGX_HTTP_MEMCACHE_TOO_LARGE {
        let expected =
            !matches!(status, NGX_HTTP_MEMCACHE_CLIENT | NGX_HTTP_MEMCACHE_SHUTDOWN | NGX_HTTP_MEMCACHE_INVALID_KEY);
        assert_eq!(Error::from_status(status, false, b"").is_logged(), expected, "{status}");
    }
    let setup = [Error::NotConfigured, Error::NotLoaded, Error::Unsupported([].into())];
    for error in setup.into_iter().chain([Error::Panicked, Error::Decode(String::new())]) {
        assert!(!error.is_logged(), "{error}");
    }
}

#[test]
fn http_statuses() {
    let cases = [
        (Error::InvalidKey { len: Some(0), why: [].into() }, 400),
        (Error::TooLarge, 413),
        (Error::Timeout { maybe_applied: true }, 504),
        (Error::Busy, 503),
        (Error::from_status(sys::NGX_HTTP_MEMCACHE_UNSUPPORTED, false, b""), 501),
        (Error::ServerDown, 503),
        (Error::NotLoaded, 503),
        (Error::Server([].into()), 502),
        (Error::Server(b"out of memory storing object"[..].into()), 502),
        (Error::Server(b"object too large for cache"[..].into()), 413),
        (Error::Protocol { maybe_applied: false }, 502),
        (Error::Client(b"cannot increment or decrement non-numeric value"[..].into()), 409),
        (Error::Client(b"flush_all not allowed"[..].into()), 502),
        (Error::ItemTooLarge, 502),
        (Error::from_status(sys::NGX_HTTP_MEMCACHE_NO_MEMORY, false, b""), 500),
        (Error::Other(38), 502),
    ];
    for (error, status) in cases {
        assert_eq!(error.http_status(), status, "{error}");
    }
}

/// The HTTP statuses of the header's function for C, by the name of the error: without a result, and with one.
#[test]
fn the_header_says_the_same_http_statuses() {
    let (_, function) = HEADER.split_once("\nngx_http_memcache_http_status(").unwrap();
    let (_, cases) = function.split_once("switch (status) {").unwrap();
    let number = |name: &str| match name.trim_start_matches("NGX_HTTP_") {
        "BAD_REQUEST" => 400,
        "CONFLICT" => 409,
        "REQUEST_ENTITY_TOO_LARGE" => 413,
        "INTERNAL_SERVER_ERROR" => 500,
        "NOT_IMPLEMENTED" => 501,
        "BAD_GATEWAY" => 502,
        "SERVICE_UNAVAILABLE" => 503,
        "GATEWAY_TIME_OUT" => 504,
        other => panic!("{other}"),
    };
    // Each group of cases, with what is returned: one status, or one by a condition and another otherwise.
    let groups = cases.split(";\n").map_while(|group| group.split_once("return "));
    let groups = groups.map(|(cases, returned)| {
        let named = cases.split("case NGX_HTTP_MEMCACHE_").skip(1).map(|case| case.split(':').next().unwrap());
        let words = returned.split_whitespace().filter(|word| word.starts_with("NGX_HTTP_"));
        (named.collect::<Vec<_>>(), words.map(number).collect::<Vec<u16>>())
    });
    let groups: Vec<_> = groups.collect();
    let (_, others) = groups.iter().find(|(named, _)| named.is_empty()).unwrap();
    let said = |name: &str| {
        let found = groups.iter().find(|(named, _)| named.contains(&name));
        found.map_or(others, |(_, returned)| returned).clone()
    };

    for (name, status) in statuses().into_iter().filter(|&(_, status)| status >= 16) {
        let error = |text: &[u8]| Error::from_status(status, false, text);
        let expected = match name {
            "TOO_LARGE" => vec![Error::TooLarge, Error::ItemTooLarge],
            "SERVER" => vec![error(b"object too large for cache"), error(b"out of memory")],
            "CLIENT" => vec![error(b"cannot increment or decrement non-numeric value"), error(b"bad")],
            _ => vec![error(b"")],
        };
        let expected: Vec<_> = expected.iter().map(Error::http_status).collect();
        assert_eq!(said(name), expected, "{name}");
    }
    for name in ["NOT_LOADED", "TOO_OLD", "TOO_NEW"] {
        assert_eq!(said(name), [Error::NotLoaded.http_status()], "{name}");
    }
}
