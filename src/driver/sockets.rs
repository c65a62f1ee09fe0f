//! The driver's sockets: what nginx says about them, and what the client wants of them.

#![forbid(unsafe_code)]

use std::io::{self, IoSlice};

use memcache_engine::stats::Fault;
use memcache_engine::{Cause, ConnId, Instant, Loss, ServerId};
use slotmap::SecondaryMap;

use super::{Driver, State};
use crate::nginx::connection::{Connect, Connection, Io, Owner, SLICES};
use crate::nginx::ssl::Handshake;

/// How many reads from one connection in one turn of the event loop, and after how many bytes it is the turn of others: a
/// large value comes in reads as large as the socket's buffer, and is copied once more on its way to the client.
const READS_PER_TURN: usize = 16;
const BYTES_PER_TURN: usize = 128 * 1024;

/* what nginx calls */

impl Owner for Driver {
    type Id = (ConnId, ServerId);

    fn on_readable(&self, (conn, server): Self::Id) {
        let Some(connection) = self.connection(conn) else { return };
        let now = self.now();
        if let Some(insists) = connection.close_requested() {
            return self.close_for_nginx(conn, insists, now);
        }
        let read = if connection.is_handshaking() {
            self.handshake(conn, &connection, server, now)
        } else if connection.is_connecting() {
            self.check_connect(&connection, server)
        } else {
            connection.note_readable();
            self.read(conn, &connection, now).and_then(|()| watch(&connection))
        };
        self.keep(conn, &connection, read, now);
    }

    fn on_writable(&self, (conn, server): Self::Id) {
        let Some(connection) = self.connection(conn) else { return };
        let now = self.now();
        let written = if connection.is_handshaking() {
            self.handshake(conn, &connection, server, now)
        } else if connection.is_connecting() {
            self.check_connect(&connection, server).and_then(|()| self.handshake(conn, &connection, server, now))
        } else if connection.is_blocked() {
            self.write(conn, &connection, now)
        } else {
            // What is dirty waits for the others of this turn.
            return;
        };
        self.keep(conn, &connection, written, now);
    }
}

impl Driver {
    /// Notes what an event of a connection came to.
    fn keep(&self, conn: ConnId, connection: &Connection<Driver>, result: Result<(), Loss>, now: Instant) {
        match result {
            Ok(()) => connection.set_idle(self.with(|client| client.is_idle(conn)).unwrap_or(false)),
            Err(loss) => self.lose(conn, loss, now),
        }
        self.turn.post();
    }

    /// nginx closes idle connections when the worker exits, and all when `worker_shutdown_timeout` is over.
    fn close_for_nginx(&self, conn: ConnId, insists: bool, now: Instant) {
        self.notice_exit(now);
        if insists {
            self.state.set(State::Forced);
            self.lose(conn, Loss::Closing, now);
        } else if self.with(|client| client.is_idle(conn)) == Some(true) {
            self.lose(conn, Loss::Closing, now);
        }
        // The draining client closes its other idle connections. This is not the posted event, as nginx may exit before
        // it comes; no handler of a sibling runs here.
        self.pump(now);
        self.turn.post();
    }

    /* what the client wants */

    pub(super) fn open(&self, conn: ConnId, id: ServerId, number: usize, now: Instant) {
        self.debug_connection(conn, || format!("connect{}", self.name(id)));
        let server = self.server(id);
        let addresses = server.as_ref().map(|server| server.addresses());
        let target = server.as_ref().zip(addresses.as_ref().and_then(|addresses| addresses.get(number)));
        let opened = target.map_or(Connect::Failed(io::Error::other("no such address")), |(server, address)| {
            let tls = server.tls.clone();
            let connection = Connection::new(self.this.clone(), (conn, id), server.at(Some(number)), tls, self.log);
            let opened = connection.connect(address);
            if matches!(opened, Connect::Done | Connect::Pending) {
                self.with_connections(|connections| drop(connections.insert(conn, connection)));
            }
            opened
        });
        match opened {
            Connect::Done => {
                let done = self.connection(conn).map(|connection| self.handshake(conn, &connection, id, now));
                if let Some(Err(loss)) = done {
                    self.lose(conn, loss, now);
                }
            }
            Connect::Pending => {}
            Connect::Failed(error) => {
                self.with(|client| client.closed(conn, loss_of_connect(&error), now)).unwrap_or_default()
            }
            Connect::NoResources => self.with(|client| client.closed(conn, Loss::NoResources, now)).unwrap_or_default(),
        }
    }

    /// Asks how a connect went. `Err`: it failed, which has been logged.
    fn check_connect(&self, connection: &Connection<Driver>, server: ServerId) -> Result<(), Loss> {
        connection.connect_result().map_err(|error| {
            let loss = loss_of_connect(&error);
            if let Some(log) = connection.log().filter(|_| self.may_log(server, Fault::from(&Cause::Lost(loss)))) {
                log.os_error(error.raw_os_error().unwrap_or_default(), format_args!("connect() failed"));
            }
            loss
        })
    }

    /// Secures a connection that is connected, if it is to be, and begins to use it when that is done.
    fn handshake(
        &self,
        conn: ConnId,
        connection: &Connection<Driver>,
        server: ServerId,
        now: Instant,
    ) -> Result<(), Loss> {
        match connection.handshake() {
            Handshake::Done => self.connected(conn, connection, now),
            Handshake::Pending => {
                self.with(|client| client.securing(conn));
                Ok(())
            }
            Handshake::Failed(loss, reason) => {
                let fault = Fault::from(&Cause::Lost(loss));
                if let Some(log) = connection.log().filter(|_| self.may_log(server, fault)) {
                    let text = if reason.is_empty() { fault.text() } else { &reason };
                    log.error(format_args!("memcache: {text}"));
                }
                Err(loss)
            }
        }
    }

    fn connected(&self, conn: ConnId, connection: &Connection<Driver>, now: Instant) -> Result<(), Loss> {
        connection.set_connected();
        self.with(|client| client.connected(conn, now));
        // An event that came before this one is not repeated.
        if connection.can_read() {
            self.read(conn, connection, now)?;
        }
        watch(connection)
    }

    /// Reads until there is nothing left, or the connection has had its share of this turn. Whether something waits
    /// to be written is of no importance: not to read could block both ends for ever.
    fn read(&self, conn: ConnId, connection: &Connection<Driver>, now: Instant) -> Result<(), Loss> {
        let mut share = Some(BYTES_PER_TURN);
        for _ in 0..READS_PER_TURN {
            if !connection.can_read() {
                return Ok(());
            }
            let Some(left) = share else { break };
            let Ok(mut client) = self.client.try_borrow_mut() else { return Ok(()) };
            // The client may have given the connection up; its wish to close it is among the outputs.
            let Some(buffer) = client.read_buffer(conn) else { return Ok(()) };
            match connection.read(buffer) {
                Io::Bytes(n) => {
                    share = left.checked_sub(n);
                    let greeted = self.log.has_debug() && !client.is_ready(conn);
                    client.received(conn, n, now);
                    let greeted = greeted && client.is_ready(conn);
                    self.debug_connection(conn, || format!("received {n} bytes"));
                    if greeted {
                        self.debug_connection(conn, || "the greeting has passed".into());
                    }
                }
                Io::Blocked => return Ok(()),
                Io::Eof => return Err(Loss::Eof),
                Io::Failed if connection.is_refused() && !client.is_ready(conn) => return Err(Loss::Handshake),
                Io::Failed => return Err(Loss::Error),
            }
        }
        if connection.can_read() {
            self.count_cut();
            connection.read_again();
        }
        Ok(())
    }

    /// Writes all there is, or what the socket takes.
    pub(super) fn write(&self, conn: ConnId, connection: &Connection<Driver>, now: Instant) -> Result<(), Loss> {
        if matches!(connection.flush(), Io::Failed) {
            return Err(Loss::Error);
        }
        while connection.can_write() {
            let Ok(mut client) = self.client.try_borrow_mut() else { return Ok(()) };
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = client.transmit(conn, &mut slices);
            let slices = slices.get(..count).unwrap_or_default();
            if slices.is_empty() {
                break;
            }
            match connection.write(slices) {
                Io::Bytes(n) => {
                    self.debug_connection(conn, || format!("sent {n} bytes"));
                    if !client.written(conn, n, now) {
                        break;
                    }
                }
                Io::Blocked => break,
                Io::Eof | Io::Failed => return Err(Loss::Error),
            }
        }
        if connection.is_blocked() {
            return watch(connection);
        }
        Ok(())
    }

    /// Closes a socket that is lost and tells the client.
    pub(super) fn lose(&self, conn: ConnId, loss: Loss, now: Instant) {
        self.debug_connection(conn, || format!("lost: {loss:?}"));
        drop(self.take_connection(conn));
        self.with(|client| client.closed(conn, loss, now));
    }

    pub(super) fn with_connections<R>(
        &self,
        step: impl FnOnce(&mut SecondaryMap<ConnId, Connection<Driver>>) -> R,
    ) -> Option<R> {
        self.connections.try_borrow_mut().ok().map(|mut connections| step(&mut connections))
    }

    pub(super) fn connection(&self, conn: ConnId) -> Option<Connection<Driver>> {
        self.connections.try_borrow().ok()?.get(conn).cloned()
    }

    /// The connection, so that its socket is closed when nothing is borrowed.
    pub(super) fn take_connection(&self, conn: ConnId) -> Option<Connection<Driver>> {
        self.with_connections(|connections| connections.remove(conn)).flatten()
    }
}

fn watch(connection: &Connection<Driver>) -> Result<(), Loss> {
    connection.watch().then_some(()).ok_or(Loss::NoResources)
}

/// What the system says of a connect that failed.
fn loss_of_connect(error: &io::Error) -> Loss {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Loss::Refused,
        io::ErrorKind::NotFound => Loss::NoSocket,
        io::ErrorKind::PermissionDenied => Loss::Denied,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            Loss::Unreachable
        }
        // All local ports are taken.
        io::ErrorKind::AddrNotAvailable => Loss::NoResources,
        _ => Loss::Connect,
    }
}
