//! A request, as its handler sees it.

#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::net::Ipv4Addr;
use core::ptr::{addr_of, addr_of_mut, null_mut, NonNull};
use core::slice;

use memcache_bits::request as bits;
use nginx_sys::{
    ngx_alloc_chain_link, ngx_buf_t, ngx_chain_t, ngx_http_core_loc_conf_t, ngx_http_discard_request_body,
    ngx_http_output_filter, ngx_http_request_t, ngx_http_send_header, ngx_int_t, ngx_list_push, ngx_pcalloc, ngx_str_t,
    ngx_table_elt_t, ngx_uint_t, sockaddr_in, sockaddr_in6, AF_INET, AF_INET6, NGX_ERROR, NGX_OK,
};

use super::guard::guard;
use super::module::{self, LocationConf};
use super::pool;

/// A request that is valid for `'a`: while its handler runs, or while it waits for us.
#[derive(Clone, Copy)]
pub struct Request<'a>(NonNull<ngx_http_request_t>, PhantomData<&'a ngx_http_request_t>);

/// The handler of a location.
pub trait Handler {
    /// The result if the handler panics.
    const ON_PANIC: ngx_int_t;

    /// Answers a request. The result is for nginx: `NGX_DONE`, the result of sending, or a status.
    fn handle(request: Request<'_>) -> ngx_int_t;
}

/// The header of a response.
#[derive(Clone, Copy)]
pub struct Head {
    /// The status.
    pub status: u32,
    /// With its parameters.
    pub content_type: &'static str,
}

impl<'a> Request<'a> {
    /// The request behind the pointer; `None` for NULL.
    ///
    /// # Safety
    ///
    /// It is there for the lifetime of what is returned, with its pool and its main request.
    pub unsafe fn new(r: *mut ngx_http_request_t) -> Option<Request<'a>> {
        NonNull::new(r).map(|r| Request(r, PhantomData))
    }

    /// nginx's own.
    pub fn as_ptr(self) -> *mut ngx_http_request_t {
        self.0.as_ptr()
    }

    /// One bit of `NGX_HTTP_GET` and so on.
    pub fn method(self) -> ngx_uint_t {
        // SAFETY: the request is there, by the contract of `new`; so in all methods.
        unsafe { (*self.as_ptr()).method }
    }

    /// The path, without arguments.
    pub fn uri(self) -> &'a [u8] {
        // SAFETY: the text lives as long as the request.
        unsafe { bytes(&(*self.as_ptr()).uri) }
    }

    /// The part after the `?`.
    pub fn args(self) -> &'a [u8] {
        // SAFETY: the text lives as long as the request.
        unsafe { bytes(&(*self.as_ptr()).args) }
    }

    /// The values of all lines of its header with this name, which is in lower case.
    pub fn headers(self, name: &[u8]) -> Vec<&'a [u8]> {
        let mut found = Vec::new();
        // SAFETY: the list has parts, one behind the other, each with `nelts` lines; they live as long as the request.
        unsafe {
            let mut part = addr_of_mut!((*self.as_ptr()).headers_in.headers.part);
            while let Some(lines) = part.as_ref() {
                let list = lines.elts.cast::<ngx_table_elt_t>();
                for line in (0..lines.nelts).filter_map(|n| list.add(n).as_ref()) {
                    if bytes(&line.key).eq_ignore_ascii_case(name) {
                        found.push(bytes(&line.value));
                    }
                }
                part = lines.next;
            }
        }
        found
    }

    /// Its `Host`, with a port if it has one.
    pub fn host(self) -> Option<&'a [u8]> {
        // SAFETY: the line lives as long as the request.
        unsafe { (*self.as_ptr()).headers_in.host.as_ref().map(|host| bytes(&host.value)) }
    }

    /// The user's name, once nginx has looked for it; empty without one.
    pub fn user(self) -> &'a [u8] {
        // SAFETY: the text lives as long as the request.
        unsafe { bytes(&(*self.as_ptr()).headers_in.user) }
    }

    /// The client's address: IPv6, or IPv4 mapped to it; zeros for a Unix socket.
    pub fn client(self) -> [u8; 16] {
        // SAFETY: a connection has its peer's address, of which the family says what it is.
        unsafe {
            let Some(address) = (*(*self.as_ptr()).connection).sockaddr.as_ref() else { return [0; 16] };
            let pointer = core::ptr::from_ref(address);
            match u32::from(address.sa_family) {
                AF_INET => {
                    let v4 = (*pointer.cast::<sockaddr_in>()).sin_addr.s_addr.to_ne_bytes();
                    Ipv4Addr::from(v4).to_ipv6_mapped().octets()
                }
                AF_INET6 => addr_of!((*pointer.cast::<sockaddr_in6>()).sin6_addr).cast::<[u8; 16]>().read(),
                _ => [0; 16],
            }
        }
    }

    /// The name of its location. The name of a location with a pattern is the pattern.
    pub fn location(self) -> &'a [u8] {
        // SAFETY: a request has the configurations of its location, which live longer than it does.
        unsafe {
            let core = module::core_conf::<ngx_http_core_loc_conf_t>((*self.as_ptr()).loc_conf);
            core.map_or(&[], |core| bytes(&core.as_ref().name))
        }
    }

    /// The module's configuration of that location.
    pub fn location_conf<T: LocationConf>(self) -> Option<&'a T> {
        // SAFETY: as above, and by the contract of the trait.
        unsafe { module::conf((*self.as_ptr()).loc_conf).map(|conf| conf.as_ref()) }
    }

    /// Moves a value into its pool, where it lives until the request has ended. `None`: there is no memory.
    pub fn place<T: 'static>(self, value: T) -> Option<&'a T> {
        // SAFETY: the pool is there; what it drops is `'static`.
        unsafe { pool::place((*self.as_ptr()).pool, value).map(|value| value.as_ref()) }
    }

    /// Reads and drops its body. `Err`: the result for the handler.
    pub fn discard_body(self) -> Result<(), ngx_int_t> {
        // SAFETY: nobody has read the body: no other handler runs in this phase.
        match unsafe { ngx_http_discard_request_body(self.as_ptr()) } {
            rc if rc == NGX_OK as ngx_int_t => Ok(()),
            rc => Err(rc),
        }
    }

    /// Adds a line to the header of the response. `None`: there is no memory.
    pub fn add_header(self, name: &'static str, value: &'static str) -> Option<()> {
        // SAFETY: the list's elements are of this type and come without a value.
        unsafe {
            let header = ngx_list_push(addr_of_mut!((*self.as_ptr()).headers_out.headers)).cast::<ngx_table_elt_t>();
            if header.is_null() {
                return None;
            }
            header.write_bytes(0, 1);
            (*header).hash = 1;
            (*header).key = literal(name);
            (*header).value = literal(value);
        }
        Some(())
    }

    /// Sends a response without a time of its last change, in buffers that live as long as the request. There is at least
    /// one piece. `None`: there is no memory, and nothing was sent.
    pub fn send(self, head: Head, len: usize, body: impl Iterator<Item = &'a [u8]>) -> Option<ngx_int_t> {
        let r = self.as_ptr();
        let out = self.chain(body)?;
        let content_type = literal(head.content_type);
        // SAFETY: nobody else refers to the request meanwhile.
        unsafe {
            (*r).headers_out.status = head.status as usize;
            (*r).headers_out.content_length_n = len.try_into().ok()?;
            (*r).headers_out.content_type = content_type;
            // The type without its parameters, by which filters choose; as it is shorter, nginx adds no charset.
            (*r).headers_out.content_type_len = head.content_type.find(';').unwrap_or(content_type.len);
            (*r).headers_out.content_type_lowcase = null_mut();
            // There is no time of a last change that a condition could be about.
            bits::set_disable_not_modified(&mut *r, true);
        }

        // SAFETY: as above; what is sent lives as long as the request, and so as long as it is being sent.
        unsafe {
            let rc = ngx_http_send_header(r);
            if rc == NGX_ERROR as ngx_int_t || rc > NGX_OK as ngx_int_t || bits::header_only(&*r) {
                return Some(rc);
            }
            Some(ngx_http_output_filter(r, out))
        }
    }

    /// A chain of buffers, one for each piece.
    fn chain(self, body: impl Iterator<Item = &'a [u8]>) -> Option<*mut ngx_chain_t> {
        let r = self.as_ptr();
        let mut first: *mut ngx_chain_t = null_mut();
        let mut next = addr_of_mut!(first);
        let mut last: *mut ngx_buf_t = null_mut();
        for piece in body {
            let range = piece.as_ptr_range();
            // SAFETY: the pool is there; `next` is the end of the chain so far.
            unsafe {
                let link = ngx_alloc_chain_link((*r).pool).as_mut()?;
                let buffer = ngx_pcalloc((*r).pool, size_of::<ngx_buf_t>()).cast::<ngx_buf_t>().as_mut()?;
                (buffer.start, buffer.pos) = (range.start.cast_mut(), range.start.cast_mut());
                (buffer.last, buffer.end) = (range.end.cast_mut(), range.end.cast_mut());
                buffer.set_memory(1);
                last = buffer;
                link.buf = last;
                link.next = null_mut();
                *next = link;
                next = addr_of_mut!(link.next);
            }
        }
        // SAFETY: as above. There always is one: no answer is empty.
        unsafe {
            let last = last.as_mut()?;
            last.set_last_buf((r == (*r).main).into());
            last.set_last_in_chain(1);
        }
        Some(first)
    }
}

/// # Safety
///
/// The string is there for as long as the result is used.
unsafe fn bytes<'a>(text: &ngx_str_t) -> &'a [u8] {
    if text.data.is_null() {
        return &[];
    }
    // SAFETY: by the contract; a string of nginx has `len` bytes.
    unsafe { slice::from_raw_parts(text.data, text.len) }
}

fn literal(text: &'static str) -> ngx_str_t {
    ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() }
}

/// The handler of a location, for nginx.
///
/// # Safety
///
/// nginx calls it with a request.
pub unsafe extern "C" fn handle<H: Handler>(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: by the contract.
    guard(H::ON_PANIC, || unsafe { Request::new(r) }.map_or(H::ON_PANIC, H::handle))
}
