//! Tests of the page.

use proptest::prelude::*;

use super::*;
use crate::samples;
use crate::snapshot::{Route, State};
use crate::switches::TakenOut;

/// The text of the elements that are opened by `start`, as a browser reads it.
fn texts(page: &str, start: &str) -> Vec<String> {
    let of = |part: &str| part.split_once('>').and_then(|(_, text)| text.split_once('<')).map(|(text, _)| text.into());
    page.split(start).skip(1).filter_map(of).map(unescape).collect()
}

fn unescape(text: String) -> String {
    let mut parts = text.split("&#");
    let mut plain = parts.next().unwrap().to_string();
    for part in parts {
        let (code, rest) = part.split_once(';').unwrap();
        plain.push(char::from_u32(code.parse().unwrap()).unwrap());
        plain.push_str(rest);
    }
    assert!(!text.replace("&#", "").contains('&'), "{text}");
    plain
}

#[test]
fn everything_is_there() {
    let mut snapshot = samples::servers(3);
    samples::share(&mut snapshot);
    samples::take_down(&mut snapshot.clients[0].servers[1], "refused", "connection refused");
    samples::slow_down(&mut snapshot.clients[0].servers[2]);
    let page = render(&snapshot);
    for text in [
        "10.0.0.2:11211 is down since 02:13:05 UTC: connection refused.</p>",
        "Nobody listens there",
        "example.com</h2>",
        "<dt>used by</dt> <dd>example.com, www.example.com</dd>",
        "97.0 %",
        "231 µs",
        "<b>8</b><i> of 32</i>",
        "<b>97</b>",
        "3,804",
        "timed out <span class=\"nowrap\">2 s ago",
        "4 workers, ",
        "<tr><th scope=\"row\">4245</th><td>live</td>",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("happened to answer"), "that is for one worker");
    assert!(render(&samples::servers(3)).contains("worker 4242 alone"));
}

#[test]
fn who_has_taken_a_server_out_is_said() {
    let mut snapshot = samples::servers(2);
    let server = &mut snapshot.clients[0].servers[1];
    server.state = State::Disabled;
    for (state, from, text) in
        [("down", Some("2001:db8::7"), "down by operator from 2001:db8::7"), ("drain", None, "drained by operator")]
    {
        let from = from.map(String::from);
        snapshot.clients[0].servers[1].operator = Some(TakenOut { state, since: Some(1), from });
        let page = render(&snapshot);
        assert!(page.contains(&format!("10.0.0.2:11211 is {text} since ")), "{text}");
        assert!(page.contains(&format!("<small>{text}, ")), "{text}");
    }
}

#[test]
fn a_list_that_has_changed_says_its_version() {
    let mut snapshot = samples::servers(2);
    assert!(!render(&snapshot).contains("list of servers"), "it is that of the configuration");
    snapshot.clients[0].list_version = 7;
    let page = render(&snapshot);
    assert!(page.contains("list of servers") && page.contains("version 7"));
}

#[test]
fn d5_nothing_is_loaded_and_nothing_is_inline() {
    let page = render(&samples::servers(3));
    for word in ["src=", "@import", "url(", " style=", " onclick", "javascript:"] {
        assert!(!page.contains(word), "{word}");
    }
    let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!elsewhere.contains("http:") && !elsewhere.contains("https:") && !elsewhere.contains("\"//"));
}

#[test]
fn the_policy_is_of_what_is_in_the_page() {
    let page = render(&samples::servers(3));
    for tag in ["style", "script"] {
        let (_, rest) = page.split_once(&format!("<{tag}>")).unwrap();
        let (text, rest) = rest.split_once(&format!("</{tag}>")).unwrap();
        let hash = STANDARD.encode(Sha256::digest(text));
        assert!(policy().contains(&format!("{tag}-src 'sha256-{hash}'")), "{tag}");
        assert!(!rest.contains(&format!("<{tag}")), "one {tag}");
    }
    assert!(policy().starts_with("default-src 'none'; "));
    assert!(policy().is_ascii() && !policy().contains(['\r', '\n']));
}

#[test]
fn d8_the_page_is_bounded_and_says_so() {
    let mut snapshot = samples::servers(10_000);
    samples::take_down(&mut snapshot.clients[0].servers[9_999], "refused", "connection refused");
    let page = render(&snapshot);
    assert!(page.len() < 3 << 20, "{}", page.len());
    assert!(page.contains("9800 more servers are not shown"));
    assert_eq!(texts(&page, "<a href=\"#server")[0], "10.0.0.10000:11211", "those in trouble come first");
}

#[test]
fn r51_the_page_is_bounded_whatever_there_is() {
    let mut snapshot = samples::servers(1);
    let one = snapshot.clients[0].clone();
    snapshot.clients = vec![one; 3_000];
    samples::take_down(&mut snapshot.clients[2_500].servers[0], "refused", "connection refused");
    let page = render(&snapshot);
    assert!(page.len() < 3 << 20, "{}", page.len());
    assert!(page.contains("2800 more clusters are not shown"));
    assert!(page.contains("id=\"client-2500\""), "those in trouble come first");
}

#[test]
fn backups_are_shown_as_such() {
    let mut snapshot = samples::servers(3);
    assert!(!render(&snapshot).contains("backup"));
    let client = &mut snapshot.clients[0];
    (client.failover, client.backup_ttl, client.hash) = ("backup", Some(10), "modulo");
    (client.servers[2].backup, client.servers[2].weight) = (true, 7);
    snapshot.routes =
        vec![Route { client: 0, error: None, hash: Some(5), point: Some(1), candidates: vec![1, 2], server: Some(2) }];
    let page = render(&snapshot);
    for text in [
        "<small>weight 7</small> <small>backup</small>",
        "life on a backup",
        "This key goes to 10.0.0.3:11211, as its own server 10.0.0.2:11211 is not live.",
        "5 modulo 2, the sum of the weights, is 1.",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn a_way_in_words() {
    let mut snapshot = samples::servers(3);
    let words = |snapshot: &Snapshot| {
        let section = Section::new(0, &snapshot.clients[0], snapshot);
        let route = section.route.unwrap();
        (route.sentence(), route.reason())
    };
    let route = Route {
        client: 0,
        error: None,
        hash: Some(0xabc),
        point: Some(0xdef),
        candidates: vec![1, 2, 0],
        server: Some(1),
    };
    let reason = Some("Its hash is 0x00000abc, the next point of the ring 0x00000def.".to_string());
    snapshot.routes = vec![route.clone()];
    assert_eq!(words(&snapshot), ("This key goes to 10.0.0.2:11211.".into(), reason.clone()));
    // Without failover, nobody else is asked.
    for (failover, text) in [
        ("off", "\"memcache_failover\" is off"),
        ("next", "In the order in which they are asked: "),
        ("backup", "In the order in which"),
    ] {
        snapshot.clients[0].failover = failover;
        assert!(render(&snapshot).replace("&#34;", "\"").contains(text), "{failover}");
    }
    snapshot.clients[0].failover = "off";
    assert!(!render(&snapshot).contains("In the order in which they are asked"), "R55");
    snapshot.routes = vec![Route { server: Some(2), ..route.clone() }];
    let text = "This key goes to 10.0.0.3:11211, as its own server 10.0.0.2:11211 is not live.";
    assert_eq!(words(&snapshot), (text.into(), reason.clone()));
    snapshot.routes = vec![Route { server: None, ..route.clone() }];
    let text = "This key belongs to 10.0.0.2:11211, which is not live: operations on it fail at once.";
    assert_eq!(words(&snapshot), (text.into(), reason));
    let nowhere = Route { error: Some("the key is empty".into()), hash: None, point: None, ..route };
    snapshot.routes = vec![nowhere];
    assert_eq!(words(&snapshot), ("This key cannot be sent: the key is empty.".into(), None));
}

proptest! {
    #[test]
    fn any_name_is_text(name in "\\PC*|[<>&\"'/=a-c ]*") {
        let mut snapshot = samples::servers(1);
        snapshot.clients[0].servers[0].address = name.clone();
        snapshot.clients[0].cluster.clone_from(&name);
        snapshot.clients[0].used_by = vec![name.clone(), "other".into()];
        samples::take_down(&mut snapshot.clients[0].servers[0], "refused", &name);
        let page = render(&snapshot);
        prop_assert_eq!(&texts(&page, "<h2")[0], &name);
        prop_assert_eq!(&texts(&page, "<h3")[0], &name);
        prop_assert_eq!(&texts(&page, "<a href=\"#server-0-0\"")[0], &name);
        let plain = render(&{
            let mut plain = snapshot.clone();
            plain.clients[0].servers[0].address = String::new();
            plain.clients[0].cluster = String::new();
            plain.clients[0].used_by = vec![String::new(), "other".into()];
            plain.clients[0].servers[0].last_error.as_mut().unwrap().text = String::new();
            plain
        });
        prop_assert_eq!(page.matches(['<', '>', '"']).count(), plain.matches(['<', '>', '"']).count());
    }
}
