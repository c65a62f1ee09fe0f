//! Writing.

#![allow(unsafe_code)]

use core::ptr;
use std::io::IoSlice;

use nginx_sys::{ngx_buf_t, ngx_chain_t, NGX_AGAIN, NGX_ERROR};

use super::{Connection, Io, Owner, SLICES};
use crate::nginx::global::Zeroed;

impl<O: Owner> Connection<O> {
    /// Writes once: with `send` if it is one piece, which is the common case, else with `writev`.
    pub fn write(&self, slices: &[IoSlice<'_>]) -> Io {
        if !self.can_write() {
            return Io::Blocked;
        }
        let io = match slices {
            _ if self.0.tls.is_some() => self.send_record(slices),
            [one] => self.send(one),
            many => self.send_chain(many),
        };
        self.0.blocked.set(!self.can_write());
        io
    }

    pub(super) fn send(&self, bytes: &[u8]) -> Io {
        let c = self.as_ptr();
        // SAFETY: as in `read`; nginx only reads the bytes, whatever its type says.
        let n = unsafe {
            match (*c).send {
                Some(send) => send(c, bytes.as_ptr().cast_mut(), bytes.len()),
                None => NGX_ERROR as isize,
            }
        };
        match usize::try_from(n) {
            Ok(0) => Io::Blocked,
            Ok(n) => Io::Bytes(n),
            Err(_) if n == NGX_AGAIN as isize => Io::Blocked,
            Err(_) => Io::Failed,
        }
    }

    fn send_chain(&self, slices: &[IoSlice<'_>]) -> Io {
        let mut buffers = <[ngx_buf_t; SLICES]>::zeroed();
        let mut links = <[ngx_chain_t; SLICES]>::zeroed();
        let mut next: *mut ngx_chain_t = ptr::null_mut();
        for ((slice, buffer), link) in slices.iter().zip(&mut buffers).zip(&mut links).rev() {
            let range = slice.as_ptr_range();
            buffer.pos = range.start.cast_mut();
            buffer.last = range.end.cast_mut();
            buffer.set_memory(1);
            link.buf = buffer;
            link.next = next;
            next = link;
        }

        let c = self.as_ptr();
        // SAFETY: as in `read`; the chain and what it points to are there until the call returns.
        let (rest, sent) = unsafe {
            let before = (*c).sent;
            let rest = match (*c).send_chain {
                Some(send_chain) => send_chain(c, next, 0),
                None => ptr::without_provenance_mut(usize::MAX),
            };
            (rest, (*c).sent.wrapping_sub(before))
        };
        if rest.addr() == usize::MAX {
            return Io::Failed;
        }
        match usize::try_from(sent) {
            Ok(0) | Err(_) => Io::Blocked,
            Ok(sent) => Io::Bytes(sent),
        }
    }
}
