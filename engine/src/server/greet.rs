//! The greeting of a connection, and what it says about the server.

use super::state::Server;
use crate::config::Protocol;
use crate::id::ConnId;
use crate::network::{Event, Network, Output};
use crate::operation::error::Error;
use crate::operation::key::Key;
use crate::operation::work::Work;
use crate::protocol::greeting::Progress;
use crate::protocol::known::Known;
use crate::protocol::unfit::Unfit;
use crate::time::Instant;

impl Server {
    /// Whether the server supports the operation, as far as its dialect is known.
    #[inline]
    pub fn supports(&self, key: Option<&Key>, work: &Work) -> bool {
        self.known.dialect().supports(key, work, || self.counters.gauges.version())
    }

    /// Why it does not; `name` is the server's.
    #[cold]
    pub fn cannot(&self, name: &[u8], key: Option<&Key>, work: &Work) -> Error {
        self.known.dialect().refusal(name, key, work)
    }

    /// Whether one command counts, and creates a missing counter.
    pub fn makes_counters(&self) -> bool {
        self.known.dialect().makes_counters()
    }

    /// The server's dialect, as far as it is known.
    pub fn known(&self) -> Known {
        self.known.clone()
    }

    /// Reads the answers to a connection's greeting, and keeps what they say about the server.
    pub fn read_greeting(&mut self, conn: ConnId, network: &mut Network, now: Instant) -> Result<Progress, Unfit> {
        let Some(connection) = network.connections.get_mut(conn) else { return Ok(Progress::Waits) };
        let mut learned = None;
        let answered = connection.read_greeting(|known| learned = Some(known), now);
        match &answered {
            Ok(Progress::Done) => {
                let gauges = &self.counters.gauges;
                gauges.set_version(connection.version());
                let dialect = connection.dialect();
                if gauges.set_text(!dialect.has_tokens()) {
                    let told = self.known.wants(Protocol::Text);
                    let event = Event::SpeaksText { server: self.id, told, unknown: dialect.unknown() };
                    network.outputs.push_back(Output::Event(event));
                }
                learned.into_iter().for_each(|known| self.known.learn(known));
            }
            Ok(Progress::Asks) => network.writes.mark(conn, connection),
            Ok(Progress::Again) => {
                // A trial of an earlier address gets no second greeting.
                if self.addresses.trial() == Some(conn) {
                    return Err(Unfit::foreign(&[]));
                }
                self.close(conn, network);
                learned.into_iter().for_each(|known| self.greet_anew(known, network, now));
            }
            Ok(Progress::Waits) => {}
            Err(Unfit::TooOld(version)) => self.counters.gauges.set_version(Some(*version)),
            Err(_) => {}
        }
        answered
    }

    /// The server closed the connection during the greeting. The next one begins in another way.
    pub(super) fn greet_anew(&mut self, known: Known, network: &mut Network, now: Instant) {
        self.known.learn(known);
        if !network.draining {
            self.open(network, now);
        }
    }
}
