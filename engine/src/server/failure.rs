//! What the end of a connection says about its server.

use super::state::Server;
use crate::connection::{Connection, Phase};
use crate::id::ConnId;
use crate::network::{Cause, Event, Loss, Network, Output};
use crate::protocol::greeting::Unfit;
use crate::stats::Fault;
use crate::time::Instant;

impl Server {
    /// A connection ended, and so many requests with it. True if the server is down from now on: see
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
        match connection.phase {
            // The server is not asked there any more.
            _ if connection.leaving => false,
            Phase::Ready => self.connection_lost(cause, requests, connection.is_unproven(now), network, now),
            Phase::Connecting | Phase::Greeting => self.connect_failed(cause, network, now),
        }
    }

    /// Why a connection ended, as it is for this server: what it has said of itself rules out some reasons.
    pub fn cause_for(&self, cause: Cause) -> Cause {
        if self.counters.gauges.version().is_some() {
            cause.of_known()
        } else {
            cause
        }
    }

    /// A connection ended that had been ready.
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
        // memcached closes connections that idle for too long, and all of them when it is stopped.
        let quiet = matches!(cause, Cause::Lost(Loss::Eof | Loss::Error)) && operations == 0;
        if !quiet {
            self.counters.stats.lost.bump();
            self.counters.last_fault.note(Fault::from(cause), now);
            let event = Event::ConnectionLost { server: self.id, cause: cause.clone(), operations };
            network.outputs.push_back(Output::Event(event));
        }
        // A request that the server refused is not a sign of ill health, nor is an answer that it may have got wrong for
        // the bytes of a key: whoever chooses these does not choose whether the server is down.
        let is_fault = !matches!(cause, Cause::Refused | Cause::EncodedKey);
        let weight = u32::from(is_fault && (!quiet || (unproven && !others)));
        if self.failed(weight, cause, network, now) {
            return true;
        }
        // A server that hangs up as soon as it is asked something would be connected to without end.
        if unproven {
            self.back_off(network, now);
        }
        false
    }

    /// A connection ended that had not been ready.
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
                // That is our own trouble: another prober may have more luck.
                self.back_off(network, now);
                self.give_lease_back();
                return false;
            }
            _ if self.try_next_address(network, now) => return false,
            _ => {}
        }
        // Where other connections work, or may work yet, one that does not is no reason to give up the server.
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
        let policy = self.settings.policy(network.rng.f64());
        if !self.health.failure(weight, policy, now) {
            return false;
        }
        self.changed = true;
        self.known.forget();
        self.addresses.start_over();
        if self.tell_down(now) {
            network.outputs.push_back(Output::Event(Event::ServerDown { server: self.id, cause: cause.clone() }));
        }
        true
    }

    /// The server is down, and nothing waits for it any more: nobody knows what became of its idle connections, and the
    /// probe, which is due then, is a new one.
    pub fn went_down(&mut self, retry_at: Instant, network: &mut Network) {
        self.close_idle(network);
        self.maintain_at(retry_at, network);
    }

    /// No connect before this.
    pub fn retry_at(&self) -> Instant {
        self.health.retry_at()
    }

    /// Takes the server out of use, as if it were down but without probes, or back into it. True if that is a change.
    pub fn set_disabled(&mut self, disabled: bool, now: Instant) -> bool {
        let changed = self.health.set_disabled(disabled, now);
        self.changed |= changed;
        changed
    }
}
