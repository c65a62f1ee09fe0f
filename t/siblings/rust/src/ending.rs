//! What is tried while a request ends.

use std::ffi::c_void;

use ngx::core::Status;
use ngx::ffi::{ngx_http_cleanup_add, ngx_http_request_t, ngx_pool_cleanup_add, NGX_LOG_WARN};
use ngx::http::{HTTPStatus, Request};
use ngx::ngx_log_error;
use ngx_memcache::http::{self, Body, Respond, Response};
use ngx_memcache::{Client, Error};

/// Adds a cleanup of the request and one of its pool, which try it.
pub fn add(request: &mut Request) -> Status {
    let r: *mut ngx_http_request_t = request.into();
    // SAFETY: there is a reference to the request.
    unsafe {
        let Some(early) = ngx_http_cleanup_add(r, 0).as_mut() else { return Status::NGX_ERROR };
        early.data = r.cast();
        early.handler = Some(in_cleanup);
        let Some(late) = ngx_pool_cleanup_add((*r).pool, 0).as_mut() else { return Status::NGX_ERROR };
        late.data = r.cast();
        late.handler = Some(in_pool);
    }
    Status::NGX_DECLINED
}

unsafe extern "C" fn in_cleanup(r: *mut c_void) {
    // SAFETY: nginx calls this while the request is there.
    try_all(unsafe { Request::from_ngx_http_request(r.cast()) }, "cleanup");
}

unsafe extern "C" fn in_pool(r: *mut c_void) {
    // SAFETY: nginx calls this before it frees the pool, which the request is in.
    try_all(unsafe { Request::from_ngx_http_request(r.cast()) }, "pool");
}

/// Everything that takes a request. A block that is begun stores an item at once, and again if it goes on.
pub fn try_all(request: &mut Request, place: &str) {
    let mc = Client::from_request(request);
    let found = mc.is_ok();
    let spawned = http::spawn(request, async move {
        let mc = mc?;
        mc.set("ending", "begun").await?;
        mc.set("ending", "went on").await?;
        Ok::<_, Error>(HTTPStatus::NO_CONTENT)
    });
    let with_body = http::spawn_with_body(request, 100, async |_: &Body| HTTPStatus::NO_CONTENT);
    let header = http::add_header(request, "X-Late", "late").is_ok();
    let sent = match place {
        "pool" => Response::ok().body("late").respond(request),
        _ => Status::NGX_OK,
    };
    ngx_log_error!(
        NGX_LOG_WARN,
        ngx::log::ngx_cycle_log().as_ptr(),
        "ending: {place} client={found} spawn={} body={} header={header} sent={}",
        spawned.0,
        with_body.0,
        sent.0
    );
}
