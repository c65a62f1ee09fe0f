//! Names of clusters: the label `cluster`.

use std::collections::HashMap;

use crate::snapshot::Client;

/// Gives each client the name of its cluster: that of its `memcache_cluster`; else that of a server block which uses it, the
/// first in alphabetical order; else the address of the first server in its configuration. So the order of blocks does not
/// matter, and neither does a list of servers that changes.
///
/// If two names are equal, a number of the settings is appended to each that is not from a `memcache_cluster`: not their
/// places, which other blocks would shift. What is left: a name changes if another cluster comes that would have the same,
/// and then with the settings.
pub fn name_clusters(clients: &mut [Client]) {
    let own = |client: &Client| {
        let server = client.configured.first().map(|(address, ..)| address.clone());
        client.used_by.iter().min().cloned().or(server).unwrap_or_else(|| "none".into())
    };
    let mut times: HashMap<String, u32> = HashMap::new();
    let has_own: Vec<_> = clients.iter().map(|client| !client.cluster.is_empty()).collect();
    for client in clients.iter_mut() {
        if client.cluster.is_empty() {
            client.cluster = own(client);
        }
        let times = times.entry(client.cluster.clone()).or_default();
        *times = times.saturating_add(1);
    }
    for (client, has_own) in clients.iter_mut().zip(has_own) {
        if has_own || times.get(&client.cluster).is_none_or(|&times| times < 2) {
            continue;
        }
        client.cluster = format!("{}-{:08x}", client.cluster, number_of_settings(client));
    }
}

/// The number for clients with equal names: FNV-1a of all settings that distinguish clients.
fn number_of_settings(client: &Client) -> u32 {
    let Client { hash, failover, protocol, timeout_ms, connect_timeout_ms, max_fails, retry_ms, .. } = client;
    let Client { pipeline, queue, max_value, coalesce, hash_prefix, hash_tag, long_keys, ssl, not_shown, .. } = client;
    let settings = format!(
        "{hash} {failover} {protocol} {timeout_ms} {connect_timeout_ms} {max_fails} {retry_ms} {pipeline} {queue} {max_value} \
         {coalesce} {hash_prefix} {hash_tag:?} {long_keys} {ssl} {not_shown}"
    );
    let settings = settings + &client.backup_ttl.map_or_else(String::new, |secs| format!(" {secs}"));
    let servers = client.configured.iter().map(|(address, weight, backup)| {
        let backup = if *backup { " backup" } else { "" };
        format!(" {address} {weight}{backup}")
    });
    let text = servers.fold(settings, |text, server| text + &server);
    text.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn names_of(change: impl Fn(&mut Vec<Client>)) -> Vec<String> {
        let mut clients: Vec<_> = (1..=3).flat_map(|n| samples::servers(n).clients).collect();
        clients.iter_mut().for_each(|client| client.cluster.clear());
        change(&mut clients);
        name_clusters(&mut clients);
        clients.into_iter().map(|client| client.cluster).collect()
    }

    #[test]
    fn r55_names_do_not_shift() {
        let distinct = |clients: &mut Vec<Client>| {
            clients[0].used_by = vec!["b.example".into(), "a.example".into()];
            clients[1].used_by = vec!["c.example".into()];
            clients[2].used_by = Vec::new();
        };
        assert_eq!(
            names_of(distinct),
            ["a.example", "c.example", "10.0.0.1:11211"],
            "in whatever order the blocks are"
        );

        // Two with the same name: a number of their own, wherever they are.
        let before = names_of(|_| {});
        assert!(before[0].starts_with("example.com-") && before[0] != before[1], "{before:?}");
        let after = names_of(|clients| clients.reverse());
        assert_eq!(before.iter().rev().collect::<Vec<_>>(), after.iter().collect::<Vec<_>>());
        let after = names_of(|clients| clients[1].not_shown = "x".into());
        assert_ne!(before[1], after[1]);
        assert_eq!((&before[0], &before[2]), (&after[0], &after[2]));
        let changes: [fn(&mut Client); 2] =
            [|client| client.configured[1].2 = true, |client| client.backup_ttl = Some(10)];
        for change in changes {
            let after = names_of(|clients| change(&mut clients[1]));
            assert_ne!(before[1], after[1]);
            assert_eq!((&before[0], &before[2]), (&after[0], &after[2]));
        }
        let after = names_of(|clients| clients[1].cluster = "example.com".into());
        assert_eq!((&before[0], "example.com", &before[2]), (&after[0], &*after[1], &after[2]), "its own stays");
        let after = names_of(|clients| clients[1].servers.reverse());
        assert_eq!(before, after, "the list has changed");
    }
}
