//! What a server says of itself before a connection is used.

use super::state::Server;
use crate::id::ConnId;
use crate::network::{Event, Network, Output};
use crate::operation::error::Error;
use crate::operation::key::Key;
use crate::operation::work::Work;
use crate::protocol::greeting::{Progress, Unfit};
use crate::protocol::known::Known;
use crate::time::Instant;

impl Server {
    /// Whether it can do that, as far as it has said what it is.
    #[inline]
    pub fn supports(&self, key: Option<&Key>, work: &Work) -> bool {
        self.known.dialect().supports(key, work, || self.counters.gauges.version())
    }

    /// Why it cannot.
    #[cold]
    pub fn cannot(&self, key: Option<&Key>, work: &Work) -> Error {
        self.known.dialect().refusal(key, work)
    }

    /// Whether one command counts, and makes the counter that is not there.
    pub fn makes_counters(&self) -> bool {
        self.known.dialect().makes_counters()
    }

    /// What is known of how it speaks.
    pub fn known(&self) -> Known {
        self.known.clone()
    }

    /// Reads what a connection has got of its greeting, and remembers what the server says of itself.
    pub fn read_greeting(&mut self, conn: ConnId, network: &mut Network, now: Instant) -> Result<Progress, Unfit> {
        let Some(connection) = network.connections.get_mut(conn) else { return Ok(Progress::Waits) };
        let mut learned = None;
        let answered = connection.read_greeting(|known| learned = Some(known), now);
        match &answered {
            Ok(Progress::Done) => {
                let gauges = &self.counters.gauges;
                gauges.set_version(connection.version());
                if gauges.set_text(!connection.dialect().has_tokens()) {
                    network.outputs.push_back(Output::Event(Event::SpeaksText { server: self.id }));
                }
                learned.into_iter().for_each(|known| self.known.learn(known));
            }
            Ok(Progress::Asks) => network.writes.mark(conn, connection),
            Ok(Progress::Again) => {
                // What only tries an address is not worth a second try.
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

    /// It has closed a connection in its greeting, and said by that how it wants to be greeted.
    pub(super) fn greet_anew(&mut self, known: Known, network: &mut Network, now: Instant) {
        self.known.learn(known);
        if !network.draining {
            self.open(network, now);
        }
    }
}
