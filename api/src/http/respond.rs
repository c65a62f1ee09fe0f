//! What is done with the value of a handler.

#![forbid(unsafe_code)]

use ngx::core::Status;
use ngx::http::{HTTPStatus, Request};

use super::response::{Content, Parts, Response};
use crate::error::Error;
use crate::http::fetch::{Fetched, Held};
use crate::nginx::log;
use crate::operation::item::Item;

/// What a handler may evaluate to.
///
/// | value | what is done |
/// |---|---|
/// | [`Response`] | it is sent |
/// | `ngx::http::HTTPStatus` | from 300 on: refused with it (`error_page` applies); below: an empty response |
/// | [`Item`], [`Fetched`] | its value is sent |
/// | `Option` | `None`: 404 |
/// | [`Error`] | the status that [`Error::http_status`] says, and a line in the error log if the module has none ([`Error::is_logged`]) |
/// | `Result` | whichever it is |
/// | `ngx::core::Status` | given to nginx as it is |
pub trait Respond {
    /// Does it, and says what the handler is to return to nginx.
    fn respond(self, request: &mut Request) -> Status;
}

impl Respond for Status {
    fn respond(self, _request: &mut Request) -> Status {
        self
    }
}

impl Respond for HTTPStatus {
    fn respond(self, request: &mut Request) -> Status {
        Parts::new(self, Content::Empty).send(request)
    }
}

impl Respond for Response {
    fn respond(self, request: &mut Request) -> Status {
        self.send(request)
    }
}

impl Respond for Item {
    fn respond(self, request: &mut Request) -> Status {
        Parts::new(HTTPStatus::OK, self.into()).send(request)
    }
}

impl Respond for Fetched {
    fn respond(self, request: &mut Request) -> Status {
        Parts::new(HTTPStatus::OK, self.into()).send(request)
    }
}

impl Respond for Error {
    fn respond(self, request: &mut Request) -> Status {
        if !self.is_logged() {
            log::error(request, &self);
        }
        HTTPStatus(self.http_status().into()).respond(request)
    }
}

impl<A: Respond> Respond for Option<A> {
    fn respond(self, request: &mut Request) -> Status {
        match self {
            Some(value) => value.respond(request),
            None => HTTPStatus::NOT_FOUND.respond(request),
        }
    }
}

impl<A: Respond, B: Respond> Respond for Result<A, B> {
    fn respond(self, request: &mut Request) -> Status {
        match self {
            Ok(value) => value.respond(request),
            Err(error) => error.respond(request),
        }
    }
}

/// The body is not copied.
impl From<Fetched> for Content {
    fn from(fetched: Fetched) -> Self {
        match fetched.held {
            Held::Item(item) => item.into(),
            Held::Made { bytes, .. } => bytes.into(),
        }
    }
}
