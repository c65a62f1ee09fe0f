//! Names that are followed: what was found becomes the addresses of the server.
//!
//! Each worker asks by itself. Equal answers make equal lists, so all workers agree on one of the addresses.

#![forbid(unsafe_code)]

use memcache_engine::limits::MAX_ADDRESSES;
use memcache_engine::ServerId;

use super::server::Server;
use super::{Driver, State};
use crate::nginx::address::Addresses;
use crate::nginx::resolver::{Found, Name};

/// How many addresses a line of the log has.
const MAX_SHOWN: usize = 8;

impl Driver {
    /// Begins to follow the names. Until then, servers have the addresses that were found when the configuration was read.
    pub(super) fn follow_names(&self) {
        for (id, server) in self.all_servers() {
            let Some(followed) = &server.followed else { continue };
            let addresses = server.addresses().first(MAX_ADDRESSES);
            if addresses.len() > 0 {
                self.take_addresses(id, &server, &vec![None; addresses.len()], addresses);
            }
            let Some(resolver) = &followed.resolver else { continue };
            let this = self.this.clone();
            let tell = move |found| {
                if let Some(driver) = this.upgrade() {
                    driver.looked_up(id, found);
                }
            };
            server.following.replace(Some(Name::follow(resolver, (&followed.name, followed.port), self.log, tell)));
        }
    }

    /// Whether the server's name is followed.
    pub fn is_followed(&self, server: ServerId) -> bool {
        self.server(server).is_some_and(|server| server.followed.is_some())
    }

    /// The lookup of a name has an answer.
    fn looked_up(&self, id: ServerId, found: Found) {
        let Some(server) = self.server(id).filter(|_| self.state.get() != State::Ended) else { return };
        match found {
            Ok(addresses) => self.found(id, &server, addresses.first(MAX_ADDRESSES)),
            Err(why) => self.not_found(id, &server, why),
        }
        self.turn.post();
    }

    fn found(&self, id: ServerId, server: &Server, addresses: Addresses) {
        let failed = server.log_state.unresolved.take();
        let former = server.addresses();
        let is_same = former.key() == addresses.key();
        if !is_same || failed.is_some() {
            let Server { name, whose, .. } = server;
            let again = if is_same { " again" } else { "" };
            self.log.notice(format_args!(
                "memcache: the name of server \"{}\" leads to {}{again}{whose}",
                name.escape_ascii(),
                shown(&addresses)
            ));
        }
        self.move_server(id, server, addresses);
    }

    /// The server is at these addresses from now on.
    pub(super) fn move_server(&self, id: ServerId, server: &Server, addresses: Addresses) {
        let former = server.addresses();
        if former.key() != addresses.key() {
            // What is to be opened has numbers of the former list.
            self.carry_out(self.now());
            let places = addresses.places_in(&former);
            self.take_addresses(id, server, &places, addresses);
        }
    }

    fn take_addresses(&self, id: ServerId, server: &Server, places: &[Option<usize>], addresses: Addresses) {
        let now = self.now();
        let list = addresses.number();
        server.set_addresses(addresses);
        self.with(|client| client.set_addresses(id, list, places, now));
    }

    fn not_found(&self, id: ServerId, server: &Server, why: String) {
        let known = server.log_state.unresolved.replace(Some(why.clone()));
        if known.as_ref() != Some(&why) {
            let Server { name, whose, .. } = server;
            let then = if server.addresses().len() > 0 { "its last addresses are used" } else { "it has no address" };
            self.log.warn(format_args!(
                "memcache: the name of server \"{}\" could not be resolved ({why}), {then}{whose}",
                name.escape_ascii()
            ));
        }
        let now = self.now();
        self.with(|client| client.unresolved(id, now));
    }
}

/// The addresses as a text.
fn shown(addresses: &Addresses) -> String {
    let texts = (0..addresses.len().min(MAX_SHOWN)).map(|at| addresses.text(at));
    let texts: Vec<_> = texts.map(|text| String::from_utf8_lossy(&text).into_owned()).collect();
    match addresses.len().saturating_sub(MAX_SHOWN) {
        0 => texts.join(", "),
        more => format!("{} and {more} more", texts.join(", ")),
    }
}
