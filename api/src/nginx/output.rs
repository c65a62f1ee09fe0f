//! What is sent as the response of a request.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::mem;
use std::ptr;
use std::slice;

use memcache_bits::request as bits;
use ngx::core::Status;
use ngx::ffi::{
    ngx_buf_t, ngx_chain_t, ngx_http_discard_request_body, ngx_http_output_filter, ngx_http_send_header,
    ngx_http_set_content_type, ngx_int_t, ngx_list_push, ngx_palloc, ngx_pnalloc, ngx_pool_cleanup_t, ngx_str_t,
    ngx_table_elt_t, NGX_ALIGNMENT,
};
use ngx::http::HTTPStatus;

use super::request::RequestRef;

/// There is no memory.
#[derive(Debug)]
pub(crate) struct NoMemory;

impl From<NoMemory> for Status {
    fn from(_: NoMemory) -> Self {
        HTTPStatus::INTERNAL_SERVER_ERROR.into()
    }
}

/// What has bytes that are sent.
pub(crate) trait Parts: Default + 'static {
    /// They stay where they are as long as this does.
    fn parts(&self) -> impl Iterator<Item = &[u8]>;
}

/// Buffers of a response, in the pool of its request.
pub(crate) struct Chain(*mut ngx_chain_t);

/// A buffer and the link of the chain that it is in.
#[repr(C)]
struct Link {
    chain: ngx_chain_t,
    buffer: ngx_buf_t,
}

/// A value that the pool drops when it is destroyed, and the first link of the chain that points into it: one allocation.
#[repr(C)]
struct Kept<T> {
    cleanup: ngx_pool_cleanup_t,
    value: T,
    first: Link,
}

impl<'r> RequestRef<'r> {
    /// Bytes in its pool.
    pub(crate) fn copy(self, bytes: &[u8]) -> Result<&'r [u8], NoMemory> {
        // SAFETY: the pool is there as long as the request; there is room for as many bytes as are written.
        unsafe {
            let data = ngx_pnalloc(self.read(|r| r.pool), bytes.len()).cast::<u8>();
            if data.is_null() {
                return Err(NoMemory);
            }
            data.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            Ok(slice::from_raw_parts(data, bytes.len()))
        }
    }

    /// Adds a header to the response. An `ETag` is one that filters look at, too.
    pub(crate) fn push_header(mut self, name: &'static str, value: &'r [u8], is_etag: bool) -> Result<(), NoMemory> {
        // SAFETY: nginx keeps headers of this type there.
        let header =
            unsafe { ngx_list_push(&mut self.get_mut().as_mut().headers_out.headers).cast::<ngx_table_elt_t>() };
        if header.is_null() {
            return Err(NoMemory);
        }
        // SAFETY: nginx does not clear what it gives us; zeros are good in all of its versions.
        unsafe {
            header.write_bytes(0, 1);
            // Filters look at the hash first: while it is 0, the header does not exist.
            (*header).key = string(name.as_bytes());
            (*header).value = string(value);
            (*header).hash = 1;
        }
        if is_etag {
            self.get_mut().as_mut().headers_out.etag = header;
        }
        Ok(())
    }

    /// Sets the type of the body.
    pub(crate) fn set_content_type(mut self, content_type: &'r [u8]) {
        let out = &mut self.get_mut().as_mut().headers_out;
        out.content_type = string(content_type);
        out.content_type_len = content_type.len();
        out.content_type_lowcase = ptr::null_mut();
    }

    /// Sets it to what `types` and `default_type` say, if it has none.
    pub(crate) fn default_content_type(self) -> Result<(), Status> {
        // SAFETY: the request is there.
        ok(unsafe { ngx_http_set_content_type(self.as_ptr()) })
    }

    /// Reads and drops the body of the request.
    pub(crate) fn discard_body(self) -> Result<(), Status> {
        // SAFETY: the request is there.
        ok(unsafe { ngx_http_discard_request_body(self.as_ptr()) })
    }

    /// Sends the header and, where the request wants it, the body. What it returns is for nginx.
    pub(crate) fn send(self, body: Chain) -> Status {
        // SAFETY: the request is there. Its chain is sent once, and is there as long.
        unsafe {
            let status = ngx_http_send_header(self.as_ptr());
            if status == Status::NGX_ERROR.0 || status > Status::NGX_OK.0 || self.read(bits::header_only) {
                return Status(status);
            }
            Status(ngx_http_output_filter(self.as_ptr(), body.0))
        }
    }

    /// Takes a value into its pool, which drops it when it is destroyed, and makes a chain of its parts.
    pub(crate) fn chain<T: Parts>(self, value: &mut T) -> Result<Chain, NoMemory> {
        let is_last = self == self.main();
        let kept = Kept::new(self, value)?;
        // SAFETY: the pool keeps all of it, and nothing else has a reference to the first link.
        let (parts, first) = unsafe { ((*kept).value.parts(), &raw mut (*kept).first) };
        let mut last: Option<*mut Link> = None;
        for part in parts {
            let link = last.map_or(Ok(first), |_| self.allocate())?;
            // SAFETY: there is room for a link; all of them are in the pool.
            unsafe {
                Link::write(link, part);
                if let Some(last) = last {
                    (*last).chain.next = &raw mut (*link).chain;
                }
            }
            last = Some(link);
        }
        // SAFETY: as above. A chain without a part has an empty buffer.
        unsafe {
            let end = last.unwrap_or(first);
            if last.is_none() {
                Link::write(end, &[]);
                (*end).buffer.set_sync(u32::from(!is_last));
            }
            (*end).buffer.set_last_buf(u32::from(is_last));
            (*end).buffer.set_last_in_chain(1);
            Ok(Chain(&raw mut (*first).chain))
        }
    }

    /// Memory in its pool, with nothing in it.
    fn allocate<T>(self) -> Result<*mut T, NoMemory> {
        const { assert!(mem::align_of::<T>() <= NGX_ALIGNMENT, "pools do not align to more than this") };

        // SAFETY: the pool is there as long as the request.
        let place = unsafe { ngx_palloc(self.read(|r| r.pool), mem::size_of::<T>()).cast::<T>() };
        match place.is_null() {
            false => Ok(place),
            true => Err(NoMemory),
        }
    }
}

impl<T: Parts> Kept<T> {
    /// Its first link is for the caller to write.
    fn new(request: RequestRef<'_>, value: &mut T) -> Result<*mut Self, NoMemory> {
        let kept: *mut Self = request.allocate()?;
        // SAFETY: there is room for it. Values are large: this one is moved to where it stays, and another one is put where it was.
        // The pool has a list of what is to be cleaned up, to which `ngx_pool_cleanup_add()` adds in the same way.
        unsafe {
            (&raw mut (*kept).value).copy_from_nonoverlapping(value, 1);
            ptr::write(value, T::default());
            let pool = request.read(|r| r.pool);
            let (handler, data) = (Some(drop_value::<T> as unsafe extern "C" fn(*mut c_void)), kept.cast());
            (&raw mut (*kept).cleanup).write(ngx_pool_cleanup_t { handler, data, next: (*pool).cleanup });
            (*pool).cleanup = &raw mut (*kept).cleanup;
        }
        Ok(kept)
    }
}

impl Link {
    /// Makes a link of these bytes, the last one of its chain.
    ///
    /// # Safety
    ///
    /// There is room for it at `link`, and the bytes are there as long as the chain.
    unsafe fn write(link: *mut Link, bytes: &[u8]) {
        // SAFETY: guaranteed by the caller; a buffer of zeros is an empty one.
        unsafe {
            let chain = ngx_chain_t { buf: &raw mut (*link).buffer, next: ptr::null_mut() };
            link.write(Link { chain, buffer: mem::zeroed() });
            if !bytes.is_empty() {
                let bytes = bytes.as_ptr_range();
                (*link).buffer.pos = bytes.start.cast_mut();
                (*link).buffer.last = bytes.end.cast_mut();
                // Filters may read it, but not change it.
                (*link).buffer.set_memory(1);
            }
        }
    }
}

unsafe extern "C" fn drop_value<T: Parts>(kept: *mut c_void) {
    // SAFETY: `new` has put it there; the pool calls this once, when nothing uses the value any more.
    unsafe { ptr::drop_in_place(&raw mut (*kept.cast::<Kept<T>>()).value) };
}

/// Whether nginx has done what it was asked for.
fn ok(status: ngx_int_t) -> Result<(), Status> {
    match Status(status) {
        Status::NGX_OK => Ok(()),
        status => Err(status),
    }
}

/// As nginx has strings. It does not write to it.
fn string(bytes: &[u8]) -> ngx_str_t {
    ngx_str_t { len: bytes.len(), data: bytes.as_ptr().cast_mut() }
}
