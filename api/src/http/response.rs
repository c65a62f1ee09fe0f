//! Responses.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use bytes::Bytes;
use memcache_bits::request as bits;
use ngx::core::Status;
use ngx::ffi::{NGX_HTTP_GET, NGX_HTTP_HEAD};
use ngx::http::{HTTPStatus, Request};

use super::door;
use super::headers::{HeaderValue, Headers};
use crate::nginx::log;
use crate::nginx::output::{self, NoMemory, Parts as _};
use crate::nginx::request::RequestRef;
use crate::operation::item::Item;

/// A response: status, headers and a body. The body is sent without being copied.
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
    /// The content is for the error log, too.
    is_refusal: bool,
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

    /// A request that is refused for what is wrong with it: the text is the body, and a line in the error log, at level
    /// "info" as nginx's own about clients.
    pub fn refused(status: HTTPStatus, why: impl Into<String>) -> Self {
        let mut text = why.into();
        text.push('\n');
        let mut response =
            Self::new(status).header("X-Content-Type-Options", "nosniff").content_type("text/plain").body(text);
        response.0.is_refusal = true;
        response
    }

    /// 200.
    pub fn ok() -> Self {
        Self::new(HTTPStatus::OK)
    }

    /// Adds a header. Control characters are left out of its value.
    ///
    /// An `ETag` also answers conditional requests, and a `Content-Type` is the same as
    /// [`content_type`](Self::content_type). nginx itself writes `Content-Length`, `Transfer-Encoding`, `Connection` and
    /// `Keep-Alive`. Any of these, and what is no name of a header, makes the response a 500, with a line in the error log.
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
        Parts { status, content_type: None, headers: Headers::default(), content, is_refusal: false }
    }

    /// Sends it, and says what the handler is to return to nginx.
    pub(super) fn send(&mut self, request: &mut Request) -> Status {
        let mut request = RequestRef::new(request);
        if request.is_gone() {
            return Status::NGX_ERROR;
        }
        if let (true, Content::Bytes(why)) = (self.is_refusal, &self.content) {
            log::info(request.get_mut(), why.trim_ascii_end().escape_ascii());
        }
        match self.write(request) {
            Ok(status) | Err(status) => status,
        }
    }

    fn write(&mut self, mut request: RequestRef<'_>) -> Result<Status, Status> {
        if !FINAL.contains(&self.status.0) {
            return Err(door::refused(request, format_args!("{} is no status of a response", self.status.0)));
        }
        door::push_headers(request, &self.headers)?;
        let is_page_of_nginx = self.status.0 >= 300 && self.status != HTTPStatus::NOT_MODIFIED;
        if is_page_of_nginx && matches!(self.content, Content::Empty) {
            return Ok(self.status.into());
        }
        request.discard_body()?;

        let length = self.content.len().try_into().map_err(|_| NoMemory)?;
        let r = request.get_mut().as_mut();
        r.headers_out.status = self.status.0;
        r.headers_out.content_length_n = length;
        if r.method != NGX_HTTP_GET as usize && r.method != NGX_HTTP_HEAD as usize {
            // If-Match and the like are about the item then, not about this response.
            bits::set_disable_not_modified(r, true);
        }
        door::set_content_type(request, self.content_type.as_deref())?;
        let chain = request.chain(&mut self.content)?;
        Ok(request.send(chain))
    }
}

/// Adds a header to the response of a request. This is for handlers of phases that let the request go on: the header is sent
/// with whatever another handler answers. Control characters are left out of its value. [`Response::header`] says which names
/// are refused.
///
/// Fails if there is no memory, or the request has ended. The error is what the handler is to return.
pub fn add_header(request: &mut Request, name: &'static str, value: impl HeaderValue) -> Result<(), Status> {
    let request = RequestRef::new(request);
    if request.is_gone() {
        return Err(Status::NGX_ERROR);
    }
    let mut headers = Headers::default();
    headers.add(name, value);
    door::push_headers(request, &headers)
}

impl output::Parts for Content {
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let (items, bytes): (&[Item], &[u8]) = match self {
            Content::Empty => (&[], &[]),
            Content::Item(item) => (std::slice::from_ref(item), &[]),
            Content::Items(items) => (items, &[]),
            Content::Bytes(bytes) => (&[], bytes),
        };
        items.iter().map(Item::value).chain([bytes]).filter(|part| !part.is_empty())
    }
}

impl Content {
    fn len(&self) -> usize {
        self.parts().map(<[u8]>::len).fold(0, usize::saturating_add)
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
