//! How a location of ours answers.

#![forbid(unsafe_code)]

use core::fmt::Write as _;

use memcache_status::pieces::Pieces;
use nginx_sys::{ngx_int_t, NGX_HTTP_OK, NGX_HTTP_SERVICE_UNAVAILABLE};

use crate::nginx::request::{Head, Request};

/// There is no memory.
pub const SERVICE_UNAVAILABLE: ngx_int_t = NGX_HTTP_SERVICE_UNAVAILABLE as ngx_int_t;

/// For what is no document: a browser that takes it for one must not run anything.
const PLAIN_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// How an answer is sent.
#[derive(Clone, Copy)]
pub struct Reply {
    head: Head,
    policy: &'static str,
}

impl Reply {
    /// A document with a policy of its own.
    pub fn document(content_type: &'static str, policy: &'static str) -> Reply {
        Reply { head: Head { status: NGX_HTTP_OK, content_type }, policy }
    }

    /// For programs.
    pub fn data(content_type: &'static str) -> Reply {
        Reply::document(content_type, PLAIN_POLICY)
    }

    /// A line of text that says what is wrong.
    pub fn refusal(status: u32) -> Reply {
        Reply { head: Head { status, content_type: "text/plain" }, policy: PLAIN_POLICY }
    }

    /// Sends it. `None`: there is no memory.
    pub fn send(&self, request: Request<'_>, body: Pieces) -> Option<ngx_int_t> {
        let body = request.place(body)?;
        request.add_header("Cache-Control", "no-store")?;
        request.add_header("X-Content-Type-Options", "nosniff")?;
        request.add_header("Content-Security-Policy", self.policy)?;
        request.send(self.head, body.len(), body.iter())
    }

    /// The same for a text. `None`: there is no memory.
    pub fn send_text(&self, request: Request<'_>, text: &str) -> Option<ngx_int_t> {
        let mut body = Pieces::default();
        body.write_str(text).ok()?;
        self.send(request, body)
    }
}
