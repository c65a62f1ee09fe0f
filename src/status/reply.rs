//! How an answer is sent.

#![forbid(unsafe_code)]

use memcache_status::pieces::Pieces;
use memcache_status::{html, Format};
use nginx_sys::{ngx_int_t, NGX_HTTP_NOT_FOUND, NGX_HTTP_OK, NGX_HTTP_SERVICE_UNAVAILABLE};

use crate::nginx::request::{Head, Request};

/// There is no memory.
pub const SERVICE_UNAVAILABLE: ngx_int_t = NGX_HTTP_SERVICE_UNAVAILABLE as ngx_int_t;

/// For formats that are no documents: a browser that takes one for a document must not run anything.
const PLAIN_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// How an answer is sent.
#[derive(Clone, Copy)]
pub struct Reply {
    head: Head,
    policy: &'static str,
}

impl Reply {
    /// That of a format.
    pub fn new(format: Format) -> Reply {
        let (content_type, policy) = match format {
            Format::Html => ("text/html; charset=utf-8", html::policy()),
            Format::Json => ("application/json", PLAIN_POLICY),
            Format::Prometheus => ("text/plain; version=0.0.4; charset=utf-8", PLAIN_POLICY),
        };
        Reply { head: Head { status: NGX_HTTP_OK, content_type }, policy }
    }

    /// There is no such format.
    pub const NOT_FOUND: Reply =
        Reply { head: Head { status: NGX_HTTP_NOT_FOUND, content_type: "text/plain" }, policy: PLAIN_POLICY };

    /// Sends it. `None`: there is no memory.
    pub fn send(&self, request: Request<'_>, body: Pieces) -> Option<ngx_int_t> {
        let body = request.place(body)?;
        request.add_header("Cache-Control", "no-store")?;
        request.add_header("X-Content-Type-Options", "nosniff")?;
        request.add_header("Content-Security-Policy", self.policy)?;
        request.send(self.head, body.len(), body.iter())
    }
}
