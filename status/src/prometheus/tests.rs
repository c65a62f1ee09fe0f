//! Tests of the metrics.

use proptest::prelude::*;

use super::*;
use crate::samples;
use crate::snapshot::Bucket;

fn lines(text: &str, start: &str) -> Vec<String> {
    text.lines().filter(|line| line.starts_with(start)).map(String::from).collect()
}

#[test]
fn every_metric_is_introduced_once_and_has_values() {
    let text = render(&samples::servers(3));
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    // Those that are in no table: what the module, the servers, and what they speak are.
    let of_servers = SERVERS.len() + COUNTERS.len() + HISTOGRAMS.len();
    assert_eq!(names.len(), 3 + ALL.len() + CLIENTS.len() + MODULES.len() + of_servers);
    for name in &names {
        assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
        assert_eq!(lines(&text, &format!("# HELP {name} ")).len(), 1, "{name}");
        assert!(!lines(&text, name).is_empty(), "{name}");
    }
}

#[test]
fn the_readme_has_every_metric() {
    let readme = include_str!("../../README.md");
    let text = render(&samples::servers(3));
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(readme.contains(&format!("`{name}`")), "{name} is not in the README");
    }
}

#[test]
fn r51_many_servers_have_no_buckets_each() {
    let mut snapshot = samples::servers(MAX_HISTOGRAMS);
    let all = lines(&render(&snapshot), "memcache_operation_duration_seconds_bucket").len();
    assert_eq!(all, 16 * lines(&render(&snapshot), "memcache_operation_duration_seconds_count").len());
    snapshot = samples::servers(MAX_HISTOGRAMS + 1);
    let text = render(&snapshot);
    let count = lines(&text, "memcache_operation_duration_seconds_count").len();
    assert_eq!(lines(&text, "memcache_operation_duration_seconds_bucket").len(), count);
    assert_eq!(lines(&text, "memcache_operation_duration_seconds_sum").len(), count);
}

#[test]
fn r51_many_clients_are_written_a_few_at_a_time() {
    let mut snapshot = samples::servers(1);
    let one = snapshot.clients[0].clone();
    snapshot.clients = vec![one; 2 * STEP + 3];
    snapshot.clients.iter_mut().enumerate().for_each(|(n, client)| client.cluster = n.to_string());
    let text = render(&snapshot);
    for client in 0..snapshot.clients.len() {
        assert_eq!(lines(&text, &format!("memcache_server_up{{cluster=\"{client}\",")).len(), 1);
        assert_eq!(lines(&text, &format!("memcache_queue_limit{{cluster=\"{client}\"}}")).len(), 1);
    }
    assert_eq!(lines(&text, "# TYPE memcache_server_up ").len(), 1);
    let (mut at, mut out, mut before) = (Cursor::default(), Pieces::default(), 0);
    while step(&snapshot, &mut at, &mut out) {
        assert!(out.len() - before < 200_000);
        before = out.len();
    }
}

#[test]
fn buckets_add_up() {
    let mut snapshot = samples::servers(3);
    let bucket = |le_us, count| Bucket { le_us, count };
    snapshot.clients[0].servers.truncate(1);
    snapshot.clients[0].servers[0].queue_time = Latency {
        count: 10,
        sum_us: 5_000_000,
        buckets: vec![bucket(63, 1), bucket(64, 2), bucket(127, 3), bucket(9_000_000, 4)],
        ..Latency::default()
    };
    let text = render(&snapshot);
    let of = "{cluster=\"example.com\",server=\"10.0.0.1:11211\"";
    let got = lines(&text, "memcache_queue_duration_seconds");
    assert_eq!(got[0], format!("memcache_queue_duration_seconds_bucket{of},le=\"0.000064\"}} 1"));
    assert_eq!(got[1], format!("memcache_queue_duration_seconds_bucket{of},le=\"0.000128\"}} 6"));
    assert_eq!(got[14], format!("memcache_queue_duration_seconds_bucket{of},le=\"1.048576\"}} 6"));
    assert_eq!(got[15], format!("memcache_queue_duration_seconds_bucket{of},le=\"+Inf\"}} 10"));
    assert_eq!(got[16], format!("memcache_queue_duration_seconds_sum{of}}} 5"));
    assert_eq!(got[17], format!("memcache_queue_duration_seconds_count{of}}} 10"));
    assert_eq!(got.len(), 18);
}

/// As Prometheus reads the value of a label.
fn unescape(text: &str) -> Option<String> {
    let mut chars = text.chars();
    let mut value = String::new();
    while let Some(c) = chars.next() {
        match c {
            '"' | '\n' => return None,
            '\\' => value.push(match chars.next()? {
                '\\' => '\\',
                '"' => '"',
                'n' => '\n',
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    Some(value)
}

proptest! {
    #[test]
    fn any_label_comes_back(text in "\\PC*|[\\\\\"\na-c]*") {
        prop_assert_eq!(unescape(&Escaped(&text).to_string()), Some(text));
    }
}
