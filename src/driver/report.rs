//! Lines in the error log about servers.
//!
//! There is one line per server and second about all of its failures, with their number. The first one comes at once. A server
//! that goes down or comes back always has a line of its own. So siblings need not log failed operations, and no traffic
//! fills the disk.

#![forbid(unsafe_code)]

use std::time::Duration;

use memcache_engine::stats::{Errors, Fault};
use memcache_engine::{keep, Answer, Error, Event, Instant, Outcome, ServerId, Summary};
use nginx_sys::ngx_msec_t;

use super::Driver;
use crate::nginx::log::Log;

/// The interval between two lines about a server.
const QUIET: Duration = Duration::from_secs(1);
/// When failures that were not logged are checked. It is a little longer, as nginx's clock is a little behind.
const LOOK_AGAIN: ngx_msec_t = 1050;

impl Driver {
    /// Counts from before this client are not logged.
    pub(super) fn begin_reports(&self) {
        for (id, server) in self.all_servers() {
            server.log_state.errors.set(self.errors_of(id).unwrap_or_default());
        }
    }

    /// Writes a line about an event, or counts it for the next line.
    pub(super) fn report(&self, event: &Event, now: Instant) {
        let id = event.server();
        let Some(server) = self.server(id) else { return };
        let address = match event {
            Event::AddressChanged { address, .. } => Some(*address),
            // These are about all connections, or about one that is not in use.
            Event::ServerDown { .. } | Event::ConnectFailed { .. } => None,
            Event::ServerUp { .. } | Event::SpeaksText { .. } | Event::ConnectionLost { .. } => {
                self.view(|client| Some(client.server(id)?.address)).flatten()
            }
        };
        let text = || event.text(&server.at(address)) + &server.whose;
        match event {
            Event::AddressChanged { .. } => self.log(|log| log.warn(format_args!("{}", text()))),
            Event::ServerUp { .. } | Event::SpeaksText { .. } => self.log(|log| log.notice(format_args!("{}", text()))),
            Event::ServerDown { .. } => {
                server.log_state.quiet.set(now.after(QUIET));
                self.log(|log| log.error(format_args!("{}", text())));
            }
            Event::ConnectFailed { cause, .. } | Event::ConnectionLost { cause, .. } => {
                if self.may_log(id, Fault::from(cause)) {
                    self.log(|log| log.error(format_args!("{}", text())));
                }
            }
        }
    }

    /// Whether a line may be written about a connection of the server, because of this. If not, it is counted for the
    /// next line.
    pub(super) fn may_log(&self, server: ServerId, fault: Fault) -> bool {
        let Some(server) = self.server(server) else { return false };
        let log_state = &server.log_state;
        let now = self.now();
        if log_state.quiet.get() <= now {
            log_state.quiet.set(now.after(QUIET));
            return true;
        }
        log_state.connections.set(log_state.connections.get().saturating_add(1));
        log_state.fault.set(Some(fault));
        self.note_failed();
        false
    }

    /// Notes that an operation was refused before a server was chosen.
    pub(super) fn note_without_memory(&self) {
        self.without_memory.set(self.without_memory.get().saturating_add(1));
        self.note_failed();
    }

    /// Notes that the client has refused an operation.
    pub(super) fn note_refused(&self, error: &Error) {
        // These are errors of the caller, not of a server.
        if !matches!(error, Error::InvalidKey(_) | Error::NoSuchServer) {
            self.note_failed();
        }
    }

    /// Notes how an operation ended.
    pub(super) fn note_answer(&self, server: ServerId, answer: &Answer) {
        match answer {
            Ok(Outcome::Many(parts)) if parts.iter().any(|part| part.answer.is_err()) => self.note_failed(),
            Ok(_) => {}
            Err(error) => {
                if let (Error::Server(text), Some(server)) = (error, self.server(server)) {
                    server.log_state.text.replace(keep(text));
                }
                self.note_failed();
            }
        }
    }

    fn note_failed(&self) {
        // While the timer is set, it checks this anyway.
        if !self.unlogged.replace(true) && !self.reports.has_timer() {
            self.turn.post();
        }
    }

    /// Logs failures of this turn, unless the timer will.
    pub(super) fn sum_up(&self, now: Instant) {
        if self.unlogged.get() && !self.reports.has_timer() {
            self.log_new(now);
        }
    }

    /// The timer.
    pub(super) fn on_report(&self) {
        self.log_new(self.now());
    }

    /// Logs all that was not logged; nothing is logged after this.
    pub(super) fn log_rest(&self) {
        self.log_all(self.now().after(QUIET));
    }

    /// Logs new failures, and checks again in a second, until there are none.
    fn log_new(&self, now: Instant) {
        self.unlogged.set(false);
        if self.log_all(now) {
            self.reports.set_cancelable(true);
            self.reports.set_timer(LOOK_AGAIN);
        }
    }

    /// Logs new failures of servers whose interval is over. Returns whether there were any.
    fn log_all(&self, now: Instant) -> bool {
        let refused = self.without_memory.take();
        if refused > 0 {
            self.log(|log| log.error(format_args!("memcache: no memory for {refused} operations")));
        }
        let mut any = refused > 0;
        for (id, server) in self.all_servers() {
            let log_state = &server.log_state;
            let Some(errors) = self.errors_of(id) else { continue };
            let summary = Summary {
                errors: errors.since(&log_state.errors.get()),
                said: log_state.text.borrow().clone(),
                connections: log_state.connections.get(),
                fault: log_state.fault.get(),
            };
            let Some(text) = summary.text(&server.name) else { continue };
            any = true;
            if log_state.quiet.get() <= now {
                log_state.quiet.set(now.after(QUIET));
                log_state.errors.set(errors);
                log_state.connections.set(0);
                self.log(|log| log.error(format_args!("{text}{}", server.whose)));
            }
        }
        any
    }

    pub(super) fn errors_of(&self, server: ServerId) -> Option<Errors> {
        self.view(|client| client.server(server).map(|server| server.stats().errors)).flatten()
    }

    fn log(&self, write: impl FnOnce(Log<'_>)) {
        write(self.log);
    }
}
