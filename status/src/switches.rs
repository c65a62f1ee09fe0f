//! What the operator wants of each server, for the answer of `memcache_control`, and for the snapshot. Times are
//! milliseconds since the Unix epoch.

use serde::Serialize;

/// The switches of all servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Switches {
    /// In the order of the configuration.
    pub clusters: Vec<Cluster>,
    /// Names that several clusters have, whose servers have no switch.
    pub ambiguous: Vec<String>,
}

/// The servers of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// Its name, as the status has it.
    pub cluster: String,
    /// In the order of the configuration.
    pub servers: Vec<Server>,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Server {
    /// As configured.
    pub address: String,
    /// `up`, `down` or `drain`.
    pub state: &'static str,
    /// The time of the last change; `None`: there was none, or it is not known.
    pub since: Option<u64>,
    /// The address of who has made it.
    pub from: Option<String>,
}

/// What the operator has done to a server that is out of use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TakenOut {
    /// `down` or `drain`.
    pub state: &'static str,
    /// When; `None`: it is not known.
    pub since: Option<u64>,
    /// The address of who did it.
    pub from: Option<String>,
}

impl TakenOut {
    /// In words.
    pub fn text(&self) -> String {
        match &self.from {
            Some(from) => format!("{} by operator from {from}", self.word()),
            None => format!("{} by operator", self.word()),
        }
    }

    fn word(&self) -> &'static str {
        match self.state {
            "drain" => "drained",
            state => state,
        }
    }
}
