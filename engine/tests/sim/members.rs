//! The list of servers changes: servers join, leave and return, get other weights and other addresses.
//!
//! All workers take over all lists, each at its own time. A simulated server has the number of its id, which is never given
//! to another one here. Whose a key is, by any list, is asked of a client that has known no other.

use fastrand::Rng;
use memcache_engine::{Client, Config, Hash, MembershipError, Memory, ServerConfig, ServerId, ServerMemory, Subset};

use crate::cluster;
use crate::network::Weather;
use crate::op::Op;
use crate::server::Server;
use crate::world::World;

/// The most servers that there ever are, in the list or not.
const MOST: usize = 8;

/// A list of servers.
pub struct List {
    servers: Vec<ServerConfig>,
    /// The server whose addresses are others from now on, with the former numbers of these.
    resolved: Option<(ServerId, Vec<Option<usize>>)>,
    /// A client that has known no other list.
    reference: Client<u64>,
}

impl List {
    pub fn new(config: &Config) -> Self {
        let reference = Client::new(config.clone(), 0, memcache_engine::Instant::default());
        List { servers: config.servers.clone(), resolved: None, reference }
    }

    /// The name of the server that has a key, without the prefix.
    pub fn owner(&self, key: &[u8]) -> &[u8] {
        let place = self.reference.server_of(key).expect("a key");
        &self.servers[place].name
    }

    /// Whether a server of this name is in it.
    pub fn has(&self, name: &[u8]) -> bool {
        self.servers.iter().any(|server| server.name == name)
    }
}

impl World {
    /// The list is another one from now on. Workers take it over later.
    pub fn announce(&mut self, rng: &mut Rng) {
        let last = self.lists.last().expect("a list");
        let mut servers = last.servers.clone();
        let mut resolved = None;
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(..servers.len());
            match rng.u8(..8) {
                0 | 1 if servers.len() > 1 => drop(servers.remove(at)),
                2..=4 => {
                    // One that is new, or returns.
                    let number = rng.usize(..MOST);
                    let first = self.lists[0].servers.get(number).cloned();
                    let backup = cluster::joins_as_backup(self.worker.client.config(), number);
                    let new = || cluster::server(&mut Rng::with_seed(number as u64), number as u64);
                    let new = || ServerConfig { backup, ..new() };
                    let other = first.unwrap_or_else(new);
                    if !servers.iter().any(|server| server.name == other.name) {
                        servers.insert(at, other);
                    }
                }
                5 => {
                    let again = cluster::server(rng, 0);
                    // `max` stays, so that it can be checked.
                    if again.pool.max() == servers[at].pool.max() {
                        servers[at].pool = again.pool;
                    }
                    servers[at].weight = again.weight;
                }
                6 => servers.rotate_left(at),
                _ => {
                    let name = &servers[at].name;
                    let id = self.names.iter().position(|known| known == name);
                    let count = rng.usize(1..4);
                    let former: Vec<_> = (0..count).map(|_| rng.bool().then(|| rng.usize(..3))).collect();
                    resolved = id.map(|id| (id, former));
                }
            }
        }
        if matches!(self.worker.client.config().hash, Hash::OneAtATime | Hash::Rendezvous) {
            servers.iter_mut().for_each(|server| server.weight = 1);
        }
        let config = Config { servers: servers.clone(), ..self.worker.client.config().clone() };
        if config.check_weights().is_err() || servers.iter().all(|server| server.backup) {
            return;
        }
        self.lists.push(List { servers, resolved, ..List::new(&config) });
    }

    /// The worker takes over the next list, if there is one.
    pub fn take_over(&mut self) {
        let next = self.worker.version + 1;
        let Some(list) = self.lists.get(next) else { return };
        let (servers, resolved) = (list.servers.clone(), list.resolved.clone());
        let in_use = |id: ServerId| self.all().any(|worker| worker.client.server(id).is_some());
        let in_use: Vec<bool> = (0..self.names.len()).map(in_use).collect();
        let (healths, switches, now) = (&mut self.healths, &mut self.switches, self.now);
        let memory = |id: ServerId, _: &ServerConfig| {
            healths.resize_with(healths.len().max(id + 1), Default::default);
            if in_use.get(id) != Some(&true) {
                healths[id] = Memory::default();
            }
            switches.resize_with(switches.len().max(id + 1), || (Memory::default(), now));
            let shared_switch = Some(switches[id].0.clone());
            ServerMemory { shared_health: healths[id].clone(), shared_switch, ..ServerMemory::default() }
        };
        self.worker.client.set_servers(next as u64, servers, memory, now).expect("a list that was checked");
        self.worker.version = next;
        assert_eq!(self.worker.client.version(), next as u64);
        self.meet();
        self.obey();
        let listed = self.worker.client.servers_of(Subset::ALL).to_vec();
        self.ledger.moved(self.at, |server| listed.contains(&server));
        if let Some((id, former)) = resolved {
            let known = self.worker.client.set_addresses(id, next as u64, &former, now);
            assert_eq!(known, listed.contains(&id));
            for link in self.worker.links.values_mut().filter(|link| known && link.server == id && link.moved.is_none())
            {
                match former.iter().position(|&number| number == Some(link.address)) {
                    Some(number) => link.address = number,
                    None => link.moved = Some(now),
                }
            }
        }
        self.worker.client.check(now).unwrap_or_else(|wrong| panic!("{wrong}"));
        self.obey();
        self.refuse();
    }

    /// The worker looks a server's name up, and finds addresses or none. Where some are known, it keeps them.
    pub fn look_up(&mut self, id: usize) {
        if self.rng.bool() {
            self.worker.client.unresolved(id, self.now);
        } else {
            self.find(id);
        }
        self.obey();
    }

    /// It finds the addresses of a server that has none.
    pub fn find(&mut self, id: usize) {
        let count = self.rng.usize(1..4);
        if self.worker.client.server(id).is_some_and(|view| view.config.addresses == 0) {
            // Equal lists have equal numbers, which are none of [`World::lists`].
            let list = u64::MAX - count as u64;
            assert!(self.worker.client.set_addresses(id, list, &vec![None; count], self.now));
            self.obey();
        }
    }

    /// All workers take over the last list.
    pub fn catch_up(&mut self) {
        self.each(|world| {
            while world.worker.version + 1 < world.lists.len() {
                world.take_over();
            }
        });
    }

    /// There is a simulated server for each that the client knows.
    fn meet(&mut self) {
        let ids = self.worker.client.servers_of(Subset::ALL).to_vec();
        let servers = self.worker.client.config().servers.clone();
        for (id, ServerConfig { name, backup, .. }) in ids.into_iter().zip(servers) {
            if id == self.names.len() {
                self.names.push(name.clone());
                self.servers.push(Server::new(id, Weather::fair()));
                self.servers[id].backup = backup;
            }
            assert_eq!(self.names[id], name, "an id means another server");
        }
        let (count, now) = (self.names.len(), self.now);
        self.each(|world| world.worker.know(count, now));
    }

    /// What is no list changes nothing.
    fn refuse(&mut self) {
        let before = self.worker.client.version();
        let memory = |_, _: &ServerConfig| ServerMemory::default();
        let nothing = self.worker.client.set_servers(before + 1, Vec::new(), memory, self.now);
        assert_eq!(nothing, Err(MembershipError::Empty));
        let backup = ServerConfig { backup: true, ..self.lists[0].servers[0].clone() };
        let only = self.worker.client.set_servers(before + 1, vec![backup], memory, self.now);
        assert_eq!(only, Err(MembershipError::OnlyBackups));
        assert_eq!(self.worker.client.version(), before);
    }

    /// Whether a server is in the list of the worker.
    pub fn lists(&self, id: usize) -> bool {
        self.worker.client.server(id).is_some()
    }

    /// Whether an operation on this key may have been answered by this server: the key's own by the list at its submission, or
    /// if that has left since, by a later one.
    ///
    /// One that waits for others is submitted again and again.
    pub fn may_answer(&self, op: &Op, server: usize) -> bool {
        let name = |version: usize| self.lists[version].owner(&op.asked);
        let mut allowed = vec![name(op.version)];
        for version in op.version + 1..=self.worker.version {
            if op.waits_for_others() || allowed.iter().any(|owner| !self.lists[version].has(owner)) {
                allowed.push(name(version));
            }
        }
        allowed.contains(&&self.names[server][..])
    }
}
