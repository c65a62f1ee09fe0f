//! The route of a key, and its reason, in words.

use crate::snapshot::{Client, Route};

/// The route of a key.
pub struct KeyRoute<'a> {
    pub route: &'a Route,
    pub client: &'a Client,
}

impl KeyRoute<'_> {
    pub fn sentence(&self) -> String {
        let name = |server: usize| self.client.servers.get(server).map_or("?", |server| &server.address);
        let route = self.route;
        match (&route.error, route.server, route.candidates.first()) {
            (Some(error), ..) => format!("This key cannot be sent: {error}."),
            (None, Some(server), Some(&home)) if server != home => {
                format!("This key goes to {}, as its own server {} is not live.", name(server), name(home))
            }
            (None, Some(server), _) => format!("This key goes to {}.", name(server)),
            (None, None, Some(&home)) => {
                format!("This key belongs to {}, which is not live: operations on it fail at once.", name(home))
            }
            (None, None, None) => "There is no server for this key.".into(),
        }
    }

    pub fn reason(&self) -> Option<String> {
        let hash = self.route.hash.zip(self.route.point);
        match (self.client.hash, hash) {
            ("modulo", Some((hash, point))) => {
                let ordinary = self.client.servers.iter().filter(|server| !server.backup);
                let weights = ordinary.map(|server| u64::from(server.weight)).fold(0, u64::saturating_add);
                Some(format!("Its hash is {hash}; {hash} modulo {weights}, the sum of the weights, is {point}."))
            }
            (_, Some((hash, point))) => {
                Some(format!("Its hash is {hash:#010x}, the next point of the ring {point:#010x}."))
            }
            (_, None) if self.route.error.is_none() => Some("Its hash with this server's name is the highest.".into()),
            _ => None,
        }
    }

    /// What the other servers are for this key.
    pub fn order(&self) -> &'static str {
        match self.client.failover {
            "off" => {
                "Nobody stands in for it: \"memcache_failover\" is off. With \"next\" the servers would be asked in this order"
            }
            _ => "In the order in which they are asked",
        }
    }

    pub fn candidates(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let servers = self.route.candidates.iter().filter_map(|&server| self.client.servers.get(server));
        servers.map(|server| (server.address.as_str(), server.state.name()))
    }
}
