//! What the end of a connection says about its server.

use super::state::Server;
use crate::connection::{Connection, Phase};
use crate::id::ConnId;
use crate::network::{Cause, Event, Loss, Network, Output};
use crate::protocol::unfit::Unfit;
use crate::shared::Switch;
use crate::stats::Fault;
use crate::time::Instant;

impl Server {
    /// A connection ended, with `operations` pending. True if the server is down from now on: see
    /// [`went_down`](Server::went_down).
    pub fn connection_ended(
        &mut self,
        conn: ConnId,
        connection: &Connection,
        (cause, requests): (&Cause, usize),
        network: &mut Network,
        now: Instant,
    ) -> bool {
        self.detach(conn, connection);
        let is_hung_up = matches!(cause, Cause::HungUp | Cause::CutOff);
        if let Some(known) = connection.closed_greeting().filter(|_| is_hung_up) {
            self.greet_anew(known, network, now);
            return false;
        }
        match connection.phase() {
            // The connection was to an address that is not in use any more.
            _ if connection.is_leaving() => false,
            Phase::Ready => self.connection_lost(cause, requests, connection.is_unproven(now), network, now),
            Phase::Connecting | Phase::Greeting => self.connect_failed(cause, network, now),
        }
    }

    /// The cause of a connection's end for this server. If the server has given its version, some causes are ruled out.
    pub fn cause_for(&self, cause: Cause) -> Cause {
        if self.counters.gauges.version().is_some() {
            cause.of_known()
        } else {
            cause
        }
    }

    /// A connection that was ready has ended.
    fn connection_lost(
        &mut self,
        cause: &Cause,
        operations: usize,
        unproven: bool,
        network: &mut Network,
        now: Instant,
    ) -> bool {
        if *cause == Cause::Lost(Loss::Closing) {
            return false;
        }
        let others = !self.connections.is_empty();
        // memcached closes connections that are idle for too long, and all connections when it stops.
        let quiet = matches!(cause, Cause::Lost(Loss::Eof | Loss::Error)) && operations == 0;
        if !quiet {
            self.counters.stats.lost.bump();
            self.counters.last_fault.note(Fault::from(cause), now);
            let event = Event::ConnectionLost { server: self.id, cause: cause.clone(), operations };
            network.outputs.push_back(Output::Event(event));
        }
        // A refused request is no fault of the server. Neither is an answer that may be wrong because of the bytes of a
        // key: a visitor may choose the key, and must not be able to bring the server down.
        let is_fault = !matches!(cause, Cause::Refused | Cause::EncodedKey);
        let weight = u32::from(is_fault && (!quiet || (unproven && !others)));
        if self.failed(weight, cause, network, now) {
            return true;
        }
        // Without a pause, a server that closes the connection at the first request would be connected to in a loop. What a
        // visitor can cause brings no pause for others: the rate of connects has a limit anyway.
        if unproven && is_fault {
            self.back_off(network, now);
        }
        false
    }

    /// A connection that was not ready has ended.
    fn connect_failed(&mut self, cause: &Cause, network: &mut Network, now: Instant) -> bool {
        self.counters.stats.failed.bump();
        self.counters.last_fault.note(Fault::from(cause), now);
        if matches!(cause, Cause::HungUp | Cause::CutOff | Cause::Unfit(_)) {
            self.known.forget();
        }
        if cause.is_news() {
            let event = Event::ConnectFailed { server: self.id, cause: cause.clone() };
            network.outputs.push_back(Output::Event(event));
        }
        match cause {
            Cause::Lost(Loss::Closing) => return false,
            Cause::Lost(Loss::NoResources) => {
                // The fault is this worker's own. Another prober may succeed.
                self.back_off(network, now);
                self.give_lease_back();
                return false;
            }
            _ if self.try_next_address(network, now) => return false,
            _ => {}
        }
        // If other connections work, or may still succeed, one failed connect does not count against the server.
        let weight = match cause {
            _ if !self.connections.is_empty() => 0,
            Cause::Lost(loss) if loss.is_final() => u32::MAX,
            Cause::Unfit(Unfit::TooOld(_)) => u32::MAX,
            _ => 1,
        };
        if self.failed(weight, cause, network, now) {
            return true;
        }
        self.back_off(network, now);
        self.tell_probe_failed();
        false
    }

    /// The next connect waits.
    fn back_off(&mut self, network: &mut Network, now: Instant) {
        let policy = self.settings.policy(network.rng.f64());
        self.health.back_off(policy, now);
    }

    /// Counts failures. True if the server is down from now on.
    pub fn failed(&mut self, weight: u32, cause: &Cause, network: &mut Network, now: Instant) -> bool {
        // Nobody is to learn of one that has left, and the operator knows what is down.
        if self.has_left() || self.health.switch() == Switch::Down {
            return false;
        }
        let policy = self.settings.policy(network.rng.f64());
        if !self.health.failure(weight, policy, now) {
            return false;
        }
        self.changed = true;
        self.known.forget();
        self.addresses.start_over();
        let is_first = if self.has_addresses() {
            self.tell_down(now)
        } else {
            self.is_down_alone = true;
            true
        };
        if is_first {
            network.outputs.push_back(Output::Event(Event::ServerDown { server: self.id, cause: cause.clone() }));
        }
        true
    }

    /// The server is down, and no operation waits for it. Its idle connections close, as their state is unknown. The
    /// next probe uses a new connection.
    pub fn went_down(&mut self, retry_at: Instant, network: &mut Network) {
        self.close_idle(network);
        self.maintain_at(retry_at, network);
    }

    /// No connect before this.
    pub fn retry_at(&self) -> Instant {
        self.health.retry_at()
    }

    /// Disables the server, which then gets neither operations nor probes, or enables it. True if that is a change.
    pub fn set_disabled(&mut self, disabled: bool, now: Instant) -> bool {
        let changed = self.health.set_disabled(disabled, now);
        self.changed |= changed;
        changed
    }
}
