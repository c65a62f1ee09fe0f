use bytes::Bytes;
use proptest::prelude::*;

use super::*;

/// The example of AWS's documentation.
const AWS: &str = "12\nmyCluster.pc4ldq.0001.use1.cache.amazonaws.com|10.82.235.120|11211 \
                   myCluster.pc4ldq.0002.use1.cache.amazonaws.com|10.80.249.27|11211\n";

fn parse(list: &str) -> Result<Discovery, DiscoveryError> {
    Discovery::parse(list.as_bytes())
}

fn names(list: &str) -> Vec<String> {
    parse(list).unwrap().nodes.iter().map(Node::name).collect()
}

/// The error of a list with this server.
fn refused(server: &str) -> DiscoveryError {
    parse(&format!("1\n{server}\n")).unwrap_err()
}

#[test]
fn the_list_of_elasticache() {
    let Discovery { version, nodes } = parse(AWS).unwrap();
    assert_eq!(version, 12);
    assert_eq!(nodes[0].host(), "myCluster.pc4ldq.0001.use1.cache.amazonaws.com");
    assert_eq!((nodes[0].ip, nodes[0].port), (Some([10, 82, 235, 120].into()), 11211));
    assert_eq!(nodes[1].name(), "myCluster.pc4ldq.0002.use1.cache.amazonaws.com:11211");
    assert_eq!(nodes.len(), 2);
}

#[test]
fn an_address_may_be_missing_or_be_the_host() {
    let list = parse("0\nb.example||1 10.0.0.5|10.0.0.5|11211 2001:db8::1|2001:db8::1|65535 10.0.0.6||7").unwrap();
    let seen: Vec<_> = list.nodes.iter().map(|node| (node.name(), node.ip.map(|ip| ip.to_string()))).collect();
    let expected = [
        ("10.0.0.5:11211", Some("10.0.0.5")),
        ("10.0.0.6:7", Some("10.0.0.6")),
        ("[2001:db8::1]:65535", Some("2001:db8::1")),
        ("b.example:1", None),
    ];
    assert_eq!(seen, expected.map(|(name, ip)| (name.to_string(), ip.map(str::to_string))));
}

#[test]
fn the_order_of_an_answer_is_of_no_account() {
    assert_eq!(
        parse("7\nb|10.0.0.2|1 a|10.0.0.1|2 a|10.0.0.1|1\n"),
        parse("7\na|10.0.0.1|1 a|10.0.0.1|2 b|10.0.0.2|1\n")
    );
    assert_eq!(names("7\nb||1 a||2 a||1"), ["a:1", "a:2", "b:1"]);
}

#[test]
fn line_ends_and_spaces() {
    for list in ["1\na||1\n", "1\na||1", "1\r\na||1\r\n", "1\n a||1 \n\n\r\n", "1\na||1\n\r\n"] {
        assert_eq!(names(list), ["a:1"], "{list:?}");
    }
}

#[test]
fn lists_that_are_none() {
    use DiscoveryError::{Empty, Form, Version};
    for (list, error) in [
        ("", Form(String::new())),
        ("a||1", Form("a||1".into())),
        ("1\na||1\nb||2\n", Form(r"1\na||1\nb||2\n".into())),
        ("\na||1\n", Version(String::new())),
        ("x\na||1\n", Version("x".into())),
        ("+1\na||1\n", Version("+1".into())),
        ("-1\na||1\n", Version("-1".into())),
        ("18446744073709551616\na||1\n", Version("18446744073709551616".into())),
        ("1\n", Empty),
        ("1\n \n", Empty),
    ] {
        assert_eq!(parse(list), Err(error), "{list:?}");
    }
    assert_eq!(parse("18446744073709551615\na||1").unwrap().version, u64::MAX);
}

#[test]
fn servers_that_are_none() {
    use DiscoveryError::{Address, Host, Node, Port};
    let long = format!("{}a|10.0.0.1|1", "a.".repeat(127));
    let label = format!("{}|10.0.0.1|1", "a".repeat(64));
    type Refusal = fn(String) -> DiscoveryError;
    let rows: [(&str, Refusal); 38] = [
        ("a", Node),
        ("a:11211", Node),
        ("a|1", Node),
        ("a|10.0.0.1|1|1", Node),
        ("|10.0.0.1|1", Host),
        ("||1", Host),
        ("-a|10.0.0.1|1", Host),
        ("a..b|10.0.0.1|1", Host),
        ("a.|10.0.0.1|1", Host),
        (".a|10.0.0.1|1", Host),
        ("a/b|10.0.0.1|1", Host),
        ("a:1|10.0.0.1|1", Host),
        ("[::1]|::1|1", Host),
        ("unix:a|10.0.0.1|1", Host),
        ("a\tb|10.0.0.1|1", Host),
        ("a\0|10.0.0.1|1", Host),
        ("a\rb|10.0.0.1|1", Host),
        ("a\"b|10.0.0.1|1", Host),
        ("a;b|10.0.0.1|1", Host),
        ("b\u{fc}cher|10.0.0.1|1", Host),
        ("10.0.0.256|10.0.0.1|1", Host),
        ("010.0.0.1|10.0.0.1|1", Host),
        ("10.1|10.0.0.1|1", Host),
        ("2130706433|10.0.0.1|1", Host),
        ("0x7f000001|10.0.0.1|1", Host),
        ("a.0x1|10.0.0.1|1", Host),
        ("fe80::1%lo|fe80::1|1", Host),
        (&label, Host),
        (&long, Host),
        ("a|b|1", Address),
        ("a|10.0.0|1", Address),
        ("a|010.0.0.1|1", Address),
        ("a|[::1]|1", Address),
        ("a|0.0.0.0|1", Address),
        ("0.0.0.0|10.0.0.1|1", Address),
        ("a|255.255.255.255|1", Address),
        ("a|ff02::1|1", Address),
        ("224.0.0.1||1", Address),
    ];
    for (server, error) in rows {
        assert_eq!(refused(server), error(quoted(server.as_bytes())), "{server}");
    }
    for port in ["", "0", "65536", "+1", "-1", "1x", "0x1", "99999999999999999999"] {
        let server = format!("a|10.0.0.1|{port}");
        assert_eq!(refused(&server), Port(server.clone()), "{server}");
    }
    let longest = format!("{}a", "a.".repeat(126));
    assert_eq!(names(&format!("1\n{longest}|10.0.0.1|1")), [format!("{longest}:1")]);
}

/// A bad server makes a bad list: a part of a list would move keys.
#[test]
fn one_bad_server_is_enough() {
    assert_eq!(parse("1\na||1 b||x c||1\n"), Err(DiscoveryError::Port("b||x".into())));
}

#[test]
fn no_server_twice() {
    for (list, twice) in
        [("a||1 b||1 a|10.0.0.1|1", "a|10.0.0.1|1"), ("a.x||1 A.X||1", "A.X||1"), ("a||1 a||01", "a||01")]
    {
        assert_eq!(refused(list), DiscoveryError::Twice(twice.into()), "{list}");
    }
    assert_eq!(names("1\na||1 a||2").len(), 2);
}

#[test]
fn limits() {
    let list = |n: usize| (0..n).fold("1\n".to_string(), |list, i| format!("{list}h{i}||1 "));
    assert_eq!(names(&list(MAX_SERVERS)).len(), MAX_SERVERS);
    assert_eq!(parse(&list(MAX_SERVERS + 1)), Err(DiscoveryError::TooMany));
    let long = format!("1\na||1{}", " ".repeat(MAX_DISCOVERY));
    assert_eq!(parse(&long), Err(DiscoveryError::TooLong(long.len())));
    assert_eq!(names(&long[..MAX_DISCOVERY]), ["a:1"]);
}

#[test]
fn what_is_quoted_is_short_and_printable() {
    let noise: Vec<u8> = (0..=u8::MAX).cycle().take(5000).filter(|&b| b != b'\n' && b != b' ').collect();
    let texts = [refused("x\u{1b}[31m|\u{7f}"), Discovery::parse(&noise).unwrap_err()].map(|error| error.to_string());
    for text in texts {
        assert!(text.len() < 400 && text.bytes().all(|b| (b' '..0x7f).contains(&b)), "{text}");
    }
    assert_eq!(refused("a|b").to_string(), "\"a|b\" is not host|address|port");
    assert_eq!(refused(&"a".repeat(65)), DiscoveryError::Node(format!("{}...", "a".repeat(64))));
}

#[test]
fn answers_of_the_engine() {
    let text = |text: &'static str| Ok(Outcome::Text(Bytes::from_static(text.as_bytes())));
    assert_eq!(Discovery::of(&text("1\na||1\n")), parse("1\na||1\n"));
    assert_eq!(Discovery::of(&Ok(Outcome::Miss)), Err(DiscoveryError::Missing));
    let too_large = Err(Failure::TooLarge { size: 9, limit: 5 });
    assert_eq!(Discovery::of(&too_large), Err(DiscoveryError::TooLong(9)));
    let down = Discovery::of(&Err(Failure::ServerDown)).unwrap_err();
    assert_eq!((down.to_string(), down), ("the server is down".into(), DiscoveryError::Failed(Failure::ServerDown)));
}

/// Only who does not know the first question is asked the second.
#[test]
fn the_second_question() {
    let error = |text: &'static str| Err(Failure::Client(Bytes::from_static(text.as_bytes())));
    for answer in [error(""), error("malformed request")] {
        assert_eq!(DiscoverBy::Config.otherwise(&answer), Some(DiscoverBy::Item));
        assert_eq!(DiscoverBy::Item.otherwise(&answer), None);
    }
    for answer in [Ok(Outcome::Miss), Err(Failure::ServerDown), Err(Failure::Server(Bytes::new()))] {
        assert_eq!(DiscoverBy::Config.otherwise(&answer), None);
    }
}

proptest! {
    /// Whatever comes, the names that come of it are of few characters, and no list is half taken.
    #[test]
    fn any_bytes(mut list in proptest::collection::vec(proptest::sample::select(&b"1a.-_|: \n\r\xff\0%["[..]), 0..60)) {
        list.splice(..0, *b"1\n");
        if let Ok(Discovery { nodes, .. }) = Discovery::parse(&list) {
            let servers = list.split(|b| b" \n\r".contains(b)).skip(1).filter(|text| !text.is_empty()).count();
            prop_assert_eq!(nodes.len(), servers);
            for node in nodes {
                let is_in = |b: u8| b.is_ascii_alphanumeric() || b"-_.:[]".contains(&b);
                prop_assert!(node.name().bytes().all(is_in));
            }
        }
    }
}
