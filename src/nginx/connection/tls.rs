//! TLS of a connection.

#![allow(unsafe_code)]

use std::io::IoSlice;

use bytes::Buf;
use memcache_engine::Loss;
use nginx_sys::ngx_connection_t;

use super::{Connection, Inner, Io, Owner, Step};
use crate::nginx::guard::guard;
use crate::nginx::ssl::Handshake;

/// The most bytes of a write: the size limit of a TLS record.
const RECORD: usize = 16 * 1024;

impl<O: Owner> Connection<O> {
    /// Whether the handshake is under way.
    pub fn is_handshaking(&self) -> bool {
        self.is_connecting() && self.0.handshake.get() != Step::None
    }

    /// Begins or continues the handshake. It is done at once if the connection has no TLS.
    pub fn handshake(&self) -> Handshake {
        let Some(peer) = &self.0.tls else { return Handshake::Done };
        let c = self.as_ptr();
        if self.0.handshake.get() == Step::None {
            self.0.handshake.set(Step::Begun);
            self.set_action(c"making TLS with");
            // SAFETY: the connection is open; it is closed by its `Drop`.
            if unsafe { peer.begin(c, save_session::<O>) }.is_none() {
                return Handshake::Failed(Loss::NoResources, String::new());
            }
        }
        let is_first = self.0.handshake.get() == Step::Begun;
        // SAFETY: as above, and it is prepared.
        let done = unsafe {
            match is_first.then(|| peer.first_bytes(c)).flatten() {
                Some(Err(loss)) => Handshake::Failed(loss, String::new()),
                Some(Ok(())) => {
                    self.0.handshake.set(Step::Answered);
                    peer.handshake(c)
                }
                None => peer.handshake(c),
            }
        };
        self.set_handlers();
        done
    }

    /// A read event has come. TLS may hold bytes that the socket does not report.
    pub fn note_readable(&self) {
        if self.0.tls.is_some() {
            // SAFETY: the connection is open, so it has its events.
            unsafe { (*(*self.as_ptr()).read).set_ready(1) };
        }
    }

    /// Whether a read failed because of an alert. With TLS 1.3, a server checks our certificate after our handshake is over.
    pub fn is_refused(&self) -> bool {
        // SAFETY: the connection is open; it has TLS from its handshake on.
        self.0.tls.as_ref().is_some_and(|peer| unsafe { peer.is_ended(self.as_ptr()) })
    }

    /// Writes the rest of the current record. A connection without TLS has none.
    pub fn flush(&self) -> Io {
        if self.0.tls.is_none() {
            return Io::Bytes(0);
        }
        let mut record = self.0.record.borrow_mut();
        while !record.is_empty() {
            match self.send(&record) {
                Io::Bytes(n) => {
                    // A password may have been in it.
                    record.get_mut(..n).unwrap_or_default().fill(0);
                    record.advance(n);
                }
                other => {
                    self.0.blocked.set(true);
                    return other;
                }
            }
        }
        record.clear();
        self.0.blocked.set(!self.can_write());
        Io::Bytes(0)
    }

    /// Copies the pieces into one record, up to its size limit, and writes it. If the socket does not take all of it,
    /// the rest is kept: TLS requires the same bytes at the same address again.
    pub(super) fn send_record(&self, slices: &[IoSlice<'_>]) -> Io {
        match self.flush() {
            Io::Bytes(_) => {}
            other => return other,
        }
        let mut record = self.0.record.borrow_mut();
        record.reserve(RECORD);
        for slice in slices {
            let room = RECORD.saturating_sub(record.len());
            record.extend_from_slice(slice.get(..slice.len().min(room)).unwrap_or_default());
        }
        let accepted = record.len();
        drop(record);
        match self.flush() {
            Io::Failed => Io::Failed,
            _ => Io::Bytes(accepted),
        }
    }
}

/// The server has sent a session.
unsafe extern "C" fn save_session<O: Owner>(c: *mut ngx_connection_t) {
    guard((), || {
        // SAFETY: nginx calls it for connections that are open, whose data is ours.
        let inner = unsafe { (*c).data.cast::<Inner<O>>().as_ref() };
        if let Some(peer) = inner.and_then(|inner| inner.tls.as_ref()) {
            // SAFETY: as above, and it has TLS.
            unsafe { peer.save_session(c) };
        }
    });
}
