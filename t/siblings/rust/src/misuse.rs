//! What a sibling should not do.

use ngx::core::Status;
use ngx::http::{HTTPStatus, Request};
use ngx_memcache::Client;

pub fn handle(_request: &mut Request, _mc: Client, _what: &str) -> Status {
    HTTPStatus::NOT_IMPLEMENTED.into()
}
