//! The list of servers, its changes, and subsets.

use memcache_engine::{Client, ServerConfig, ServerMemory, Subset, SubsetError};

use super::{with_switch, World};

impl World {
    /// 0: all servers; others: those whose bit is 1.
    pub fn choose(&mut self, bits: usize) {
        let all = self.client.servers_of(Subset::ALL);
        let some: Vec<usize> = all.iter().copied().filter(|n| bits >> n & 1 == 1).collect();
        let subset = self.client.subset(Subset::ALL, &some);
        assert!(
            subset.is_ok_and(|subset| self.client.servers_of(subset).len() == some.len())
                || some.is_empty()
                || subset == Err(SubsetError::TooMany)
        );
        self.subset = subset.unwrap_or_default();
    }

    /// The list has the servers whose bits are 1.
    pub fn list(&mut self, bits: usize) {
        let (known, version) = (self.client.config().servers[0].clone(), self.client.version());
        let server = |n| ServerConfig { name: format!("h:{n}").into(), ..known.clone() };
        let list: Vec<_> = (1..=6).filter(|n| bits >> (n - 1) & 1 == 1).map(server).collect();
        let before = self.client.servers_of(Subset::ALL).to_vec();
        let switches = &self.switches;
        let memory = |id: usize, _: &ServerConfig| switches.get(id).map_or_else(ServerMemory::default, with_switch);
        let changed = self.client.set_servers(version + 1, list.clone(), memory, self.now);
        assert_eq!(changed.is_ok(), !list.is_empty());
        match changed {
            Ok(()) => assert_eq!(self.client.config().servers.len(), list.len()),
            Err(_) => assert_eq!((self.client.servers_of(Subset::ALL), self.client.version()), (&before[..], version)),
        }
        self.lists = true;
        for &id in self.client.servers_of(Subset::ALL) {
            let name = &self.client.server(id).expect("a server of the list").config.name;
            assert_eq!(self.names.entry(id).or_insert_with(|| name.clone()), name, "an id means another server");
        }
    }

    /// The server has other addresses: half of `n` new ones, behind the first one if `n` is odd.
    pub fn resolve(&mut self, server: usize, n: usize) {
        let former: Vec<_> = (n % 2 == 1).then_some(Some(0)).into_iter().chain((0..n / 2).map(|_| None)).collect();
        let known = self.client.server(server).is_some() && !former.is_empty();
        assert_eq!(self.client.set_addresses(server, n as u64, &former, self.now), known, "server {server}");
    }

    /// The server's name cannot be resolved, which is nothing to one that has addresses.
    pub fn unresolved(&mut self, server: usize) {
        let state = |client: &Client<u64>| client.server(server).map(|view| (view.state, view.config.addresses));
        let before = state(&self.client);
        self.client.unresolved(server, self.now);
        assert!(before.is_none_or(|(_, addresses)| addresses == 0) || before == state(&self.client));
    }
}
