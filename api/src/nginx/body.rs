//! The body of a request that nginx has read.

#![allow(unsafe_code)]

use std::slice;

use nginx_sys::{ngx_buf_t, ngx_chain_t, ngx_file_t, ngx_read_file, off_t};

use super::request::RequestRef;

/// A part of a body.
#[derive(Clone, Copy)]
pub(crate) enum Part<'r> {
    InMemory(&'r [u8]),
    InFile(FilePart),
}

/// A part of a body that is in a file of the request.
#[derive(Clone, Copy)]
pub(crate) struct FilePart {
    file: *mut ngx_file_t,
    start: off_t,
    len: usize,
}

/// The parts of a body, in their order. It has been read, and lives as long as the request.
pub(crate) fn parts<'r>(request: RequestRef<'r>) -> impl Iterator<Item = Part<'r>> {
    // SAFETY: nginx keeps the body as a chain of good buffers, as long as the request.
    let chain: Option<&'r ngx_chain_t> =
        request.read(|r| unsafe { r.request_body.as_ref().and_then(|body| body.bufs.as_ref()) });
    // SAFETY: as above.
    let links = std::iter::successors(chain, |link| unsafe { link.next.as_ref() });
    // SAFETY: as above; every link has a buffer.
    links.filter_map(|link| unsafe { link.buf.as_ref() }).map(Part::of)
}

impl<'r> Part<'r> {
    fn of(buffer: &'r ngx_buf_t) -> Self {
        // nginx's `ngx_buf_in_memory()`, negated: it prefers memory too.
        if buffer.in_file() != 0 && buffer.temporary() == 0 && buffer.memory() == 0 && buffer.mmap() == 0 {
            let len = usize::try_from(buffer.file_last.saturating_sub(buffer.file_pos)).unwrap_or_default();
            return Part::InFile(FilePart { file: buffer.file, start: buffer.file_pos, len });
        }
        match buffer.last.addr().saturating_sub(buffer.pos.addr()) {
            0 => Part::InMemory(&[]),
            // SAFETY: the buffer reaches from pos to last.
            len => Part::InMemory(unsafe { slice::from_raw_parts(buffer.pos, len) }),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Part::InMemory(bytes) => bytes.len(),
            Part::InFile(part) => part.len,
        }
    }
}

impl FilePart {
    /// Reads all of it to the end of `bytes`. `Err`: nginx has logged why not.
    pub(crate) fn read(self, bytes: &mut Vec<u8>) -> Result<(), ()> {
        let start = bytes.len();
        bytes.resize(start.saturating_add(self.len), 0);
        let mut rest = bytes.get_mut(start..).unwrap_or_default();
        let mut offset = self.start;
        while !rest.is_empty() {
            // SAFETY: a buffer in a file has one; as many bytes are read as there is room for.
            let read = unsafe { ngx_read_file(self.file, rest.as_mut_ptr(), rest.len(), offset) };
            if read <= 0 {
                return Err(());
            }
            rest = rest.get_mut(read.unsigned_abs()..).unwrap_or_default();
            offset = offset.saturating_add(read as _);
        }
        Ok(())
    }
}
