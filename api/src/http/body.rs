//! The body of a request.

use std::slice;

use ngx::ffi::{ngx_buf_t, ngx_http_request_t, ngx_read_file};
use ngx::http::HTTPStatus;

/// The body of a request that nginx has read.
///
/// What fits into one buffer (`client_body_buffer_size`) is not copied.
pub struct Body(Bytes);

/// Why a body cannot be had.
pub(super) enum Unusable {
    /// It has so many bytes, which are more than it may have.
    TooLarge(usize),
    /// It cannot be read, or there is no memory.
    Failed(HTTPStatus),
}

enum Bytes {
    /// In the pool of the request.
    Pooled(*const u8, usize),
    Copied(Vec<u8>),
}

impl Body {
    /// The bytes; none if the request has no body.
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            // SAFETY: a body exists only in a task, which is dropped before the pool of its request.
            Bytes::Pooled(data, len) => unsafe { slice::from_raw_parts(*data, *len) },
            Bytes::Copied(bytes) => bytes,
        }
    }

    /// The body of a request, of at most `limit` bytes.
    ///
    /// # Safety
    ///
    /// The request is alive, its body has been read, and it stays alive as long as what is returned.
    pub(super) unsafe fn of_request(r: *mut ngx_http_request_t, limit: usize) -> Result<Self, Unusable> {
        // SAFETY: guaranteed by the caller; nginx keeps the body as a chain of good buffers.
        let buffers = unsafe { buffers(r) };

        let length = buffers.iter().map(|&buffer| length(buffer)).fold(0, usize::saturating_add);
        if length > limit {
            return Err(Unusable::TooLarge(length));
        }
        if let [buffer] = *buffers {
            if !in_file(buffer) {
                return Ok(Body(Bytes::Pooled(buffer.pos, length)));
            }
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| Unusable::Failed(HTTPStatus::INTERNAL_SERVER_ERROR))?;
        for buffer in buffers {
            copy(buffer, &mut bytes).map_err(Unusable::Failed)?;
        }
        Ok(Body(Bytes::Copied(bytes)))
    }
}

/// The buffers of the body that have something in them.
///
/// # Safety
///
/// As of `Body::of_request()`.
unsafe fn buffers<'a>(r: *mut ngx_http_request_t) -> Vec<&'a ngx_buf_t> {
    let mut found = Vec::new();
    // SAFETY: guaranteed by the caller.
    let mut link = unsafe { (*r).request_body.as_ref().and_then(|body| body.bufs.as_ref()) };
    while let Some(this) = link {
        // SAFETY: as above; every link has a buffer.
        unsafe {
            found.extend(this.buf.as_ref().filter(|&buffer| length(buffer) > 0));
            link = this.next.as_ref();
        }
    }
    found
}

/// nginx's `ngx_buf_in_memory()`, negated: it prefers memory too.
fn in_file(buffer: &ngx_buf_t) -> bool {
    buffer.in_file() != 0 && buffer.temporary() == 0 && buffer.memory() == 0 && buffer.mmap() == 0
}

fn length(buffer: &ngx_buf_t) -> usize {
    if in_file(buffer) {
        usize::try_from(buffer.file_last.saturating_sub(buffer.file_pos)).unwrap_or_default()
    } else {
        buffer.last.addr().saturating_sub(buffer.pos.addr())
    }
}

/// Appends what is in the buffer.
fn copy(buffer: &ngx_buf_t, bytes: &mut Vec<u8>) -> Result<(), HTTPStatus> {
    let length = length(buffer);
    if !in_file(buffer) {
        // SAFETY: the buffer reaches from pos to last.
        bytes.extend_from_slice(unsafe { slice::from_raw_parts(buffer.pos, length) });
        return Ok(());
    }
    let start = bytes.len();
    bytes.resize(start.saturating_add(length), 0);
    let mut rest = bytes.get_mut(start..).unwrap_or_default();
    let mut offset = buffer.file_pos;
    while !rest.is_empty() {
        // SAFETY: a buffer in a file has one; as many bytes are read as there is room for. nginx logs errors itself.
        let read = unsafe { ngx_read_file(buffer.file, rest.as_mut_ptr(), rest.len(), offset) };
        if read <= 0 {
            return Err(HTTPStatus::INTERNAL_SERVER_ERROR);
        }
        rest = rest.get_mut(read.unsigned_abs()..).unwrap_or_default();
        offset = offset.saturating_add(read as _);
    }
    Ok(())
}
