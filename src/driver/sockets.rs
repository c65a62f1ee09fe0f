//! The driver's sockets: what nginx says about them, and what the client wants of them.

#![allow(unsafe_code)]

use core::ptr::NonNull;
use std::io::IoSlice;
use std::rc::Rc;

use bytes::BufMut;
use memcache_engine::{ConnId, Instant, Loss, ServerId};
use slotmap::SecondaryMap;

use super::{Driver, State};
use crate::peer::{Connect, Io, Peer, SLICES};

/// How many reads from one connection in one turn of the event loop.
const READS_PER_TURN: usize = 16;

impl Driver {
    /* what nginx calls */

    /// A socket has something to read, or nginx wants it closed, or its connect failed.
    pub fn on_readable(&self, conn: ConnId) {
        let Some(peer) = self.peer(conn) else { return };
        let now = self.now();
        if let Some(insists) = peer.close_requested() {
            return self.close_for_nginx(conn, insists, now);
        }
        let read = if peer.is_connecting() {
            peer.connect_error().map_or(Ok(()), Err)
        } else {
            self.read(conn, &peer, now).and_then(|()| peer.watch())
        };
        self.keep(conn, &peer, read, now);
    }

    /// A socket takes bytes (again), or is connected.
    pub fn on_writable(&self, conn: ConnId) {
        let Some(peer) = self.peer(conn) else { return };
        let now = self.now();
        let written = if peer.is_connecting() {
            self.connected(conn, &peer, now)
        } else if peer.is_blocked() {
            self.write(conn, &peer, now)
        } else {
            // What is dirty waits for the others of this turn.
            return;
        };
        self.keep(conn, &peer, written, now);
    }

    /// Notes what an event of a connection came to.
    fn keep(&self, conn: ConnId, peer: &Peer, result: Result<(), Loss>, now: Instant) {
        match result {
            Ok(()) => peer.set_idle(self.with(|client| client.is_idle(conn)).unwrap_or(false)),
            Err(loss) => self.lose(conn, loss, now),
        }
        self.turn.post();
    }

    /// nginx closes idle connections when the worker exits, and all when `worker_shutdown_timeout` is over.
    fn close_for_nginx(&self, conn: ConnId, insists: bool, now: Instant) {
        self.notice_exit(now);
        if insists {
            self.state.set(State::Hurried);
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
        let target = self.servers.get(id).and_then(|server| Some((server, server.addresses.get(number)?)));
        let opened = target.map_or(Connect::Failed(Loss::Connect), |(server, address)| {
            // SAFETY: the driver drops its peers before itself, and its log is that of the cycle.
            let peer = unsafe { Peer::new(NonNull::from(self), conn, id, server.at(Some(number)), self.log) };
            let opened = peer.connect(address);
            if !matches!(opened, Connect::Failed(_)) {
                self.with_peers(|peers| drop(peers.insert(conn, peer)));
            }
            opened
        });
        match opened {
            Connect::Done => drop(self.with(|client| client.connected(conn, now))),
            Connect::Pending => {}
            Connect::Failed(loss) => drop(self.with(|client| client.closed(conn, loss, now))),
        }
    }

    fn connected(&self, conn: ConnId, peer: &Peer, now: Instant) -> Result<(), Loss> {
        peer.finish_connect()?;
        self.with(|client| client.connected(conn, now));
        // An event that came before this one is not repeated.
        if peer.can_read() {
            self.read(conn, peer, now)?;
        }
        peer.watch()
    }

    /// Reads until there is nothing left, or the connection has had its share of this turn. Whether something waits
    /// to be written is of no importance: not to read could block both ends for ever.
    fn read(&self, conn: ConnId, peer: &Peer, now: Instant) -> Result<(), Loss> {
        for _ in 0..READS_PER_TURN {
            if !peer.can_read() {
                return Ok(());
            }
            let Ok(mut client) = self.client.try_borrow_mut() else { return Ok(()) };
            // The client may have given the connection up; its wish to close it is among the outputs.
            let Some(buffer) = client.read_buffer(conn) else { return Ok(()) };
            match peer.read(buffer.spare_capacity_mut()) {
                Io::Bytes(n) => {
                    // SAFETY: the kernel has written so many bytes behind those that were there.
                    unsafe { buffer.advance_mut(n) };
                    client.received(conn, n, now);
                }
                Io::Blocked => return Ok(()),
                Io::Lost(loss) => return Err(loss),
            }
        }
        if peer.can_read() {
            self.count_cut();
            peer.read_again();
        }
        Ok(())
    }

    /// Writes all there is, or what the socket takes.
    pub(super) fn write(&self, conn: ConnId, peer: &Peer, now: Instant) -> Result<(), Loss> {
        while peer.can_write() {
            let Ok(mut client) = self.client.try_borrow_mut() else { return Ok(()) };
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = client.transmit(conn, &mut slices);
            let slices = slices.get(..count).unwrap_or_default();
            if slices.is_empty() {
                break;
            }
            match peer.write(slices) {
                Io::Bytes(n) if client.written(conn, n, now) => {}
                Io::Bytes(_) | Io::Blocked => break,
                Io::Lost(loss) => return Err(loss),
            }
        }
        if peer.is_blocked() {
            return peer.watch();
        }
        Ok(())
    }

    /// Closes a socket that is lost and tells the client.
    pub(super) fn lose(&self, conn: ConnId, loss: Loss, now: Instant) {
        drop(self.take_peer(conn));
        self.with(|client| client.closed(conn, loss, now));
    }

    pub(super) fn with_peers<R>(&self, step: impl FnOnce(&mut SecondaryMap<ConnId, Rc<Peer>>) -> R) -> Option<R> {
        self.peers.try_borrow_mut().ok().map(|mut peers| step(&mut peers))
    }

    pub(super) fn peer(&self, conn: ConnId) -> Option<Rc<Peer>> {
        self.peers.try_borrow().ok()?.get(conn).cloned()
    }

    /// The peer, so that its socket is closed when nothing is borrowed.
    pub(super) fn take_peer(&self, conn: ConnId) -> Option<Rc<Peer>> {
        self.with_peers(|peers| peers.remove(conn)).flatten()
    }
}
