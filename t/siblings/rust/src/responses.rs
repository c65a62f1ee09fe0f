//! Responses of a handler that passes on what it was given, without looking at it.

use ngx::core::Status;
use ngx::http::{HTTPStatus, Request};
use ngx_memcache::http::{self, Respond, Response};

/// What somebody else would like to see in a header.
const BAD: &str = "a\r\nX-Bad: b\r\n\r\nbody\0\x7f\x1b";

/// - `response_value`, `response_type`, `response_type_header`, `response_location`: bad bytes in these.
/// - `response_added`: in a header that is added to whatever response there is.
/// - `response_name`, `response_empty`, `response_length`, `response_chunked`: headers that cannot be.
/// - `response_status_N`: a response with that status.
pub fn handle(request: &mut Request, what: &str) -> Option<Status> {
    let page = || Response::ok().body("page");
    let response = match what.strip_prefix("response_")? {
        "value" => page().header("X-Value", BAD),
        "type" => page().content_type(BAD),
        "type_header" => page().header("content-type", BAD),
        "location" => Response::new(HTTPStatus::MOVED_TEMPORARILY).header("Location", BAD),
        "added" => {
            if let Err(status) = http::add_header(request, "X-Added", BAD) {
                return Some(status);
            }
            page()
        }
        "added_name" => match http::add_header(request, "X-Bad: b\r\nX", "c") {
            Err(status) => return Some(status),
            Ok(()) => page(),
        },
        "name" => page().header("X-Bad: b\r\nX", "c"),
        "empty" => page().header("", "c"),
        "length" => page().header("Content-Length", 1),
        "chunked" => page().header("transfer-encoding", "chunked"),
        status => Response::new(HTTPStatus(status.strip_prefix("status_")?.parse().ok()?)).body("page"),
    };
    Some(response.respond(request))
}
