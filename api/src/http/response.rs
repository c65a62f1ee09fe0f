//! Responses.

use std::borrow::Cow;
use std::ffi::c_void;
use std::mem;
use std::ptr;

use bytes::Bytes;
use memcache_bits::request as bits;
use ngx::core::Status;
use ngx::ffi::{
    ngx_alloc_chain_link, ngx_buf_t, ngx_chain_t, ngx_http_discard_request_body, ngx_http_output_filter,
    ngx_http_request_t, ngx_http_send_header, ngx_pcalloc, ngx_pool_cleanup_add, ngx_pool_t, NGX_HTTP_GET,
    NGX_HTTP_HEAD,
};
use ngx::http::{HTTPStatus, Request};

use super::door;
use super::headers::{HeaderValue, Headers};
use super::request::{is_gone, ok};
use crate::operation::item::Item;

/// A response: status, headers and a body, which is sent without being copied.
///
/// ```no_run
/// use ngx::http::HTTPStatus;
/// use ngx_memcache::http::Response;
/// use ngx_memcache::Item;
///
/// fn page(item: Item) -> Response {
///     Response::ok().header("X-Flags", item.flags()).body(item)
/// }
///
/// fn not_like_that() -> Response {
///     Response::new(HTTPStatus::NOT_ALLOWED).header("Allow", "GET, HEAD")
/// }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Response(Box<Parts>);

/// What a response consists of. It is large, and a response is moved often until it is sent.
#[derive(Debug)]
pub(super) struct Parts {
    status: HTTPStatus,
    content_type: Option<Cow<'static, str>>,
    headers: Headers,
    content: Content,
}

/// The body of a [`Response`]. All of these become it by `into()`.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Content {
    /// Nothing.
    #[default]
    Empty,
    /// The value of an item. It is freed when the request is.
    Item(Item),
    /// The values of several items, one behind the other.
    Items(Vec<Item>),
    /// Bytes or text.
    Bytes(Bytes),
}

/// What may be the status of a response: three digits, and no interim one.
const FINAL: std::ops::Range<usize> = 200..600;

impl Response {
    /// A response without a body.
    ///
    /// With a status of 300 or more and without a body it is nginx that makes the page, and `error_page` applies.
    pub fn new(status: HTTPStatus) -> Self {
        Response(Box::new(Parts::new(status, Content::Empty)))
    }

    /// 200.
    pub fn ok() -> Self {
        Self::new(HTTPStatus::OK)
    }

    /// Adds a header. Control characters are left out of its value.
    ///
    /// An `ETag` also answers conditional requests, and a `Content-Type` is the same as
    /// [`content_type`](Self::content_type). What is no name of a header, and `Content-Length`, `Transfer-Encoding`,
    /// `Connection` and `Keep-Alive`, which are nginx's, make it a 500, and a line in the error log.
    pub fn header(mut self, name: &'static str, value: impl HeaderValue) -> Self {
        self.0.headers.add(name, value);
        self
    }

    /// The type of the body; without this, what `types` and `default_type` say. Control characters are left out.
    pub fn content_type(mut self, content_type: impl Into<Cow<'static, str>>) -> Self {
        self.0.content_type = Some(content_type.into());
        self
    }

    /// The body.
    pub fn body(mut self, content: impl Into<Content>) -> Self {
        self.0.content = content.into();
        self
    }

    /// Sends it, and says what the handler is to return to nginx.
    pub(super) fn send(mut self, request: &mut Request) -> Status {
        self.0.send(request)
    }
}

impl Parts {
    pub(super) fn new(status: HTTPStatus, content: Content) -> Self {
        Parts { status, content_type: None, headers: Headers::default(), content }
    }

    /// Sends it, and says what the handler is to return to nginx.
    pub(super) fn send(&mut self, request: &mut Request) -> Status {
        if is_gone(request) {
            return Status::NGX_ERROR;
        }
        let r = request.as_mut();
        // SAFETY: there is a reference to the request.
        match unsafe { self.write(r) } {
            Ok(status) | Err(status) => status,
        }
    }

    /// # Safety
    ///
    /// `r` is alive.
    unsafe fn write(&mut self, r: &mut ngx_http_request_t) -> Result<Status, Status> {
        if !FINAL.contains(&self.status.0) {
            // SAFETY: guaranteed by the caller, here and below.
            return Err(unsafe { door::refused(r, format_args!("{} is no status of a response", self.status.0)) });
        }
        // SAFETY: as above.
        unsafe { door::push_headers(r, &self.headers)? };
        let is_page_of_nginx = self.status.0 >= 300 && self.status != HTTPStatus::NOT_MODIFIED;
        if is_page_of_nginx && matches!(self.content, Content::Empty) {
            return Ok(self.status.into());
        }
        // SAFETY: as above.
        ok(unsafe { ngx_http_discard_request_body(r) })?;

        r.headers_out.status = self.status.0;
        r.headers_out.content_length_n = self.content.len().try_into().map_err(|_| no_memory())?;
        if r.method != NGX_HTTP_GET as usize && r.method != NGX_HTTP_HEAD as usize {
            // If-Match and the like are about the item then, not about this response.
            bits::set_disable_not_modified(r, true);
        }
        // SAFETY: as above.
        unsafe {
            door::set_content_type(r, self.content_type.as_deref())?;
            let chain = mem::take(&mut self.content).into_chain(r)?;

            let status = ngx_http_send_header(r);
            if status == Status::NGX_ERROR.0 || status > Status::NGX_OK.0 || bits::header_only(r) {
                return Ok(Status(status));
            }
            Ok(Status(ngx_http_output_filter(r, chain)))
        }
    }
}

/// Adds a header to the response of a request, for handlers of phases that let it go on: it is sent with whatever others
/// answer. Control characters are left out of its value; of names, [`Response::header`] says what may not be.
///
/// Fails if there is no memory, or the request has ended, with what the handler is to return.
pub fn add_header(request: &mut Request, name: &'static str, value: impl HeaderValue) -> Result<(), Status> {
    if is_gone(request) {
        return Err(Status::NGX_ERROR);
    }
    let mut headers = Headers::default();
    headers.add(name, value);
    // SAFETY: there is a reference to the request.
    unsafe { door::push_headers(request.as_mut(), &headers) }
}

impl Content {
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let (items, bytes): (&[Item], &[u8]) = match self {
            Content::Empty => (&[], &[]),
            Content::Item(item) => (std::slice::from_ref(item), &[]),
            Content::Items(items) => (items, &[]),
            Content::Bytes(bytes) => (&[], bytes),
        };
        items.iter().map(Item::value).chain([bytes]).filter(|part| !part.is_empty())
    }

    fn len(&self) -> usize {
        self.parts().map(<[u8]>::len).fold(0, usize::saturating_add)
    }

    /// A chain of buffers that point into the content; the request's pool keeps it until the request is freed.
    ///
    /// # Safety
    ///
    /// `r` is alive.
    unsafe fn into_chain(self, r: &ngx_http_request_t) -> Result<*mut ngx_chain_t, Status> {
        // SAFETY: guaranteed by the caller, here and below.
        let content = unsafe { keep(r.pool, self)? };
        let is_last = ptr::eq(r, r.main);

        let mut first = ptr::null_mut();
        let mut end: *mut *mut ngx_chain_t = &mut first;
        let mut last: *mut ngx_buf_t = ptr::null_mut();

        for part in content.parts() {
            // SAFETY: as above; `end` is the place in the chain for the next link.
            unsafe {
                last = append(r.pool, &mut end)?;
                let bytes = part.as_ptr_range();
                (*last).pos = bytes.start.cast_mut();
                (*last).last = bytes.end.cast_mut();
                // Filters may read it, but not change it.
                (*last).set_memory(1);
            }
        }
        // SAFETY: as above.
        unsafe {
            if last.is_null() {
                last = append(r.pool, &mut end)?;
                (*last).set_sync(u32::from(!is_last));
            }
            (*last).set_last_buf(u32::from(is_last));
            (*last).set_last_in_chain(1);
        }
        Ok(first)
    }
}

impl From<Item> for Content {
    fn from(item: Item) -> Self {
        Content::Item(item)
    }
}

impl From<Vec<Item>> for Content {
    fn from(items: Vec<Item>) -> Self {
        Content::Items(items)
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Content::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Content::Bytes(bytes.into())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Content::Bytes(text.into())
    }
}

impl From<&'static [u8]> for Content {
    fn from(bytes: &'static [u8]) -> Self {
        Content::Bytes(Bytes::from_static(bytes))
    }
}

impl From<&'static str> for Content {
    fn from(text: &'static str) -> Self {
        Content::Bytes(Bytes::from_static(text.as_bytes()))
    }
}

/// Puts the content into the pool, which drops it when it is destroyed.
///
/// # Safety
///
/// `pool` is alive; the reference is good until it is destroyed.
unsafe fn keep<'a>(pool: *mut ngx_pool_t, content: Content) -> Result<&'a Content, Status> {
    const { assert!(mem::align_of::<Content>() <= ngx::ffi::NGX_ALIGNMENT) };

    // SAFETY: guaranteed by the caller; the pool has room for a content at `data`.
    unsafe {
        let record = ngx_pool_cleanup_add(pool, mem::size_of::<Content>()).as_mut().ok_or_else(no_memory)?;
        let place = record.data.cast::<Content>();
        place.write(content);
        record.handler = Some(drop_content);
        Ok(&*place)
    }
}

unsafe extern "C" fn drop_content(data: *mut c_void) {
    // SAFETY: keep() has put it there; the pool calls this once.
    unsafe { ptr::drop_in_place(data.cast::<Content>()) };
}

/// A new, empty buffer at the end of a chain.
///
/// # Safety
///
/// `pool` is alive, `end` is where the next link goes.
unsafe fn append(pool: *mut ngx_pool_t, end: &mut *mut *mut ngx_chain_t) -> Result<*mut ngx_buf_t, Status> {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let buffer = ngx_pcalloc(pool, mem::size_of::<ngx_buf_t>()).cast::<ngx_buf_t>();
        let link = ngx_alloc_chain_link(pool);
        if buffer.is_null() || link.is_null() {
            return Err(no_memory());
        }
        link.write(ngx_chain_t { buf: buffer, next: ptr::null_mut() });
        **end = link;
        *end = &raw mut (*link).next;
        Ok(buffer)
    }
}

fn no_memory() -> Status {
    HTTPStatus::INTERNAL_SERVER_ERROR.into()
}
