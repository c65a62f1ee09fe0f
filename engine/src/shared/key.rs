//! Keys of a server's memory.

use md5::{Digest, Md5};

use crate::config::{Config, Credentials};

/// The key of a server: 128 bits that depend on its configuration alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerKey(pub(super) [u8; 16]);

/// A piece of a server's memory.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'a> {
    /// The [`SharedHealth`](crate::SharedHealth) of the server at these socket addresses. It belongs to the addresses: it starts anew when the
    /// name has others.
    SharedHealth(&'a [u8]),
    /// The [`Counters`](crate::Counters) of the workers in this table of slots. They belong to the name.
    Slots(usize),
    /// The [`Counters`](crate::Counters) of all workers that have none of their own.
    Rest,
    /// Of the first server of a cluster, with lines that change: the list that workers share.
    List(&'a [u8]),
    /// The same: the pieces of the servers that come later, by number.
    Later(&'a [u8], usize),
}

impl ServerKey {
    /// The key of the operator's switch of a server. It belongs to these two names alone, whatever else is configured.
    pub fn of_switch(cluster: &[u8], server: &[u8]) -> ServerKey {
        let head = format!("switch {} ", cluster.len());
        ServerKey(Md5::new().chain_update(head).chain_update(cluster).chain_update(server).finalize().into())
    }

    /// The key of a piece of the server's memory.
    pub fn of(&self, piece: Piece<'_>) -> ServerKey {
        let all = Md5::new().chain_update(self.0);
        let all = match piece {
            Piece::SharedHealth(addresses) => all.chain_update("shared_health ").chain_update(addresses),
            Piece::Slots(table) => all.chain_update(format!("slots {table}")),
            Piece::Rest => all.chain_update("rest"),
            Piece::List(lines) => all.chain_update("list ").chain_update(lines),
            Piece::Later(lines, number) => all.chain_update(format!("later {number} ")).chain_update(lines),
        };
        ServerKey(all.finalize().into())
    }
}

/// The keys of the servers of some clients, in their order. A server has the same key in another configuration if its name and
/// all settings of its client are the same. Its weight, its pool, and the client's other servers may differ.
pub fn keys<'a>(configs: impl IntoIterator<Item = &'a Config>) -> Vec<Vec<ServerKey>> {
    let mut taken: Vec<ServerKey> = Vec::new();
    let mut key = |config: &Config, name: &[u8]| {
        // Clients with the same settings may have the same server: each has its own key.
        let mut nth = 0u32;
        loop {
            let key = key(config, name, nth);
            if !taken.contains(&key) {
                taken.push(key);
                return key;
            }
            nth = nth.saturating_add(1);
        }
    };
    let mut keys = |config: &Config| config.servers.iter().map(|server| key(config, &server.name)).collect();
    configs.into_iter().map(&mut keys).collect()
}

fn key(config: &Config, name: &[u8], nth: u32) -> ServerKey {
    let Config {
        name: cluster,
        servers: _,
        hash,
        failover,
        backup_ttl,
        protocol,
        timeout,
        connect_timeout,
        max_fails,
        retry,
        pipeline,
        queue,
        coalesce,
        max_value,
        keys,
        security,
        credentials,
    } = config;
    let settings = format!(
        "{} {} {} {timeout:?} {connect_timeout:?} {max_fails} {retry:?} {pipeline} {queue} {coalesce} {max_value} {backup_ttl} {} {} {:?} {} {nth} {} ",
        hash.name(),
        failover.name(),
        protocol.name(),
        keys.prefix.escape_ascii(),
        keys.hash_prefix,
        keys.hash_tag,
        keys.long_keys.name(),
        cluster.escape_ascii(),
    );
    // Of the secret itself, not even a digest leaves its memory.
    let edition = credentials.as_ref().map_or(&[][..], Credentials::edition);
    let all = Md5::new().chain_update(settings).chain_update(name).chain_update(security).chain_update(edition);
    ServerKey(all.finalize().into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{ServerConfig, ServerParams};
    use crate::operation::key_rules::{HashTag, KeyRules, LongKeys};

    fn config(names: &[&str]) -> Config {
        let (pool, weight) = ServerParams::default().finish().unwrap();
        let server =
            |name: &&str| ServerConfig { name: name.to_string().into(), addresses: 1, pool, weight, backup: false };
        Config::new(names.iter().map(server).collect())
    }

    #[test]
    fn a_server_is_the_same_by_its_name_and_its_clients_settings() {
        let before = keys([&config(&["a:1", "b:1"])]);
        let mut after = config(&["c:1", "b:1"]);
        after.servers[1].weight = 7;
        let after = keys([&after]);
        assert_eq!(before[0][1], after[0][1]);
        assert_ne!(before[0][0], after[0][0]);
        let other = Config { timeout: Duration::from_secs(9), ..config(&["b:1"]) };
        assert_ne!(keys([&other])[0][0], before[0][1]);
        let prefix = Config { keys: KeyRules::with_prefix("p".into()), ..config(&["b:1"]) };
        assert_ne!(keys([&prefix])[0][0], before[0][1]);
        let rules = |change: fn(&mut KeyRules)| {
            let mut config = config(&["b:1"]);
            change(&mut config.keys);
            keys([&config])[0][0]
        };
        assert_ne!(rules(|rules| rules.hash_prefix = false), before[0][1]);
        assert_ne!(rules(|rules| rules.hash_tag = Some(HashTag { open: b'{', close: b'}' })), before[0][1]);
        assert_ne!(rules(|rules| rules.long_keys = LongKeys::Hash), before[0][1]);
        let secured = Config { security: " on".into(), ..config(&["b:1"]) };
        assert_ne!(keys([&secured])[0][0], before[0][1]);
        let twice = keys([&config(&["a:1", "b:1"]), &config(&["b:1"])]);
        assert_ne!(twice[0][1], twice[1][0], "two clients");
        assert_eq!(twice[0], before[0]);
    }

    #[test]
    fn r45_what_is_known_belongs_to_the_address_and_what_is_counted_to_the_name() {
        let [a] = keys([&config(&["a:1"])])[0][..] else { panic!() };
        assert_eq!(a.of(Piece::SharedHealth(b"10.0.0.1")), a.of(Piece::SharedHealth(b"10.0.0.1")));
        let all = [
            a,
            a.of(Piece::SharedHealth(b"10.0.0.1")),
            a.of(Piece::SharedHealth(b"10.0.0.2")),
            a.of(Piece::SharedHealth(b"")),
            a.of(Piece::Slots(0)),
            a.of(Piece::Slots(1)),
            a.of(Piece::Rest),
            ServerKey::of_switch(b"", b"a:1"),
            ServerKey::of_switch(b"a", b":1"),
            a.of(Piece::List(b"a")),
            a.of(Piece::List(b"b")),
            a.of(Piece::Later(b"a", 0)),
            a.of(Piece::Later(b"a", 1)),
            a.of(Piece::Later(b"b", 0)),
        ];
        assert!((0..all.len()).all(|at| !all[..at].contains(&all[at])));
    }
}
