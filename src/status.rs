//! `memcache_status`: what the clients are doing, as a page, as JSON, or as metrics.
//!
//! It opens no connection, changes nothing, and shows nothing of the request, no key and no value. Everything about the
//! formats is in the crate `memcache-status`.

#![allow(unsafe_code)]

mod collect;
mod job;

use core::fmt::Write as _;
use core::ptr::{addr_of, addr_of_mut, null_mut};
use core::slice;

use memcache_bits::request;
use memcache_status::pieces::Pieces;
use memcache_status::snapshot::Worker;
use memcache_status::{html, Format, Query, UnknownFormat};
use nginx_sys::{
    ngx_alloc_chain_link, ngx_buf_t, ngx_chain_t, ngx_conf_t, ngx_http_conf_ctx_t, ngx_http_core_loc_conf_t,
    ngx_http_core_module, ngx_http_discard_request_body, ngx_http_output_filter, ngx_http_request_t,
    ngx_http_send_header, ngx_int_t, ngx_list_push, ngx_pcalloc, ngx_pid, ngx_str_t, ngx_table_elt_t, ngx_worker,
    NGX_ERROR, NGX_HTTP_GET, NGX_HTTP_HEAD, NGX_HTTP_INTERNAL_SERVER_ERROR, NGX_HTTP_NOT_ALLOWED, NGX_HTTP_NOT_FOUND,
    NGX_HTTP_OK, NGX_HTTP_SERVICE_UNAVAILABLE, NGX_OK,
};

use crate::conf::LocationConf;
use crate::nginx::guard::guard;
use crate::nginx::pool;
use crate::{ctx_index, worker};

use self::job::Work;

const INTERNAL_SERVER_ERROR: ngx_int_t = NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t;
/// There is no memory.
const SERVICE_UNAVAILABLE: ngx_int_t = NGX_HTTP_SERVICE_UNAVAILABLE as ngx_int_t;

/// For what is no document: if it is taken for one, it may do nothing.
const PLAIN_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// How an answer is sent.
#[derive(Clone, Copy)]
struct Reply {
    status: u32,
    content_type: &'static str,
    policy: &'static str,
}

impl Reply {
    fn new(format: Format) -> Reply {
        let (content_type, policy) = match format {
            Format::Html => ("text/html; charset=utf-8", html::policy()),
            Format::Json => ("application/json", PLAIN_POLICY),
            Format::Prometheus => ("text/plain; version=0.0.4; charset=utf-8", PLAIN_POLICY),
        };
        Reply { status: NGX_HTTP_OK, content_type, policy }
    }

    const NOT_FOUND: Reply = Reply { status: NGX_HTTP_NOT_FOUND, content_type: "text/plain", policy: PLAIN_POLICY };
}

/// Makes this the handler of the location that is being read.
///
/// # Safety
///
/// `cf` is what nginx passes to the handler of a directive in a location.
pub unsafe fn install(cf: *mut ngx_conf_t) {
    // SAFETY: in a location, the context is that of the location, with a configuration of nginx's core for it.
    unsafe {
        let ctx = (*cf).ctx.cast::<ngx_http_conf_ctx_t>();
        let index = addr_of!(ngx_http_core_module.ctx_index).read();
        let core = (*(*ctx).loc_conf.add(index)).cast::<ngx_http_core_loc_conf_t>();
        (*core).handler = Some(handle);
    }
}

unsafe extern "C" fn handle(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx calls the handler of a location with a request.
    guard(INTERNAL_SERVER_ERROR, || unsafe { respond(r) }.unwrap_or(SERVICE_UNAVAILABLE))
}

/// Answers the request. `None`: there is no memory.
///
/// # Safety
///
/// The request is there.
unsafe fn respond(r: *mut ngx_http_request_t) -> Option<ngx_int_t> {
    // SAFETY: by the contract: a request has its headers, its pool and its main request.
    unsafe {
        if (*r).method & (NGX_HTTP_GET | NGX_HTTP_HEAD) as usize == 0 {
            add_header(r, "Allow", "GET, HEAD")?;
            return Some(NGX_HTTP_NOT_ALLOWED as ngx_int_t);
        }
        let rc = ngx_http_discard_request_body(r);
        if rc != NGX_OK as ngx_int_t {
            return Some(rc);
        }
    }
    // SAFETY: as above; nginx sets both numbers when the process starts.
    let (query, pid, slot) = unsafe { (query(r)?, addr_of!(ngx_pid).read(), addr_of!(ngx_worker).read()) };
    let Ok(query) = query else {
        let mut text = Pieces::default();
        text.write_str(UnknownFormat::TEXT).ok()?;
        // SAFETY: by the contract, and nothing was sent yet.
        return unsafe { send(r, Reply::NOT_FOUND, text) };
    };
    let reply = Reply::new(query.format);
    let mut work = Work::new(query, Worker { pid, generation: worker::generation(), slot })?;
    // SAFETY: as above; what is returned is returned to nginx.
    unsafe {
        if work.turn()? {
            return job::go_on(r, reply, work);
        }
        send(r, reply, work.into_body())
    }
}

/// What is asked for: by arguments, by what of the path is behind the location's name, or by the location itself.
///
/// # Safety
///
/// The request is there.
unsafe fn query(r: *const ngx_http_request_t) -> Option<Result<Query, UnknownFormat>> {
    // SAFETY: by the contract; a request has the configurations of the location that it is in.
    let (conf, core, uri, args) = unsafe {
        let conf = (*(*r).loc_conf.add(ctx_index())).cast::<LocationConf>().as_ref()?;
        let index = addr_of!(ngx_http_core_module.ctx_index).read();
        let core = (*(*r).loc_conf.add(index)).cast::<ngx_http_core_loc_conf_t>().as_ref()?;
        (conf, core, bytes(&(*r).uri), bytes(&(*r).args))
    };
    // The name of a location that is found by a pattern, or has none in the path, is no part of the path.
    // SAFETY: the name lives in the configuration, which outlives the request.
    let suffix = uri.strip_prefix(unsafe { bytes(&core.name) }).unwrap_or_default();
    Some(Query::parse(conf.status.unwrap_or_default(), suffix, args))
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

/// # Safety
///
/// The request is there, and nothing was sent yet.
unsafe fn send(r: *mut ngx_http_request_t, reply: Reply, body: Pieces) -> Option<ngx_int_t> {
    // SAFETY: by the contract, here and below. What is sent lives as long as the request's pool, and so as long as it
    // is being sent.
    unsafe {
        let body = pool::place((*r).pool, body)?.as_ref();
        let out = chain(r, body)?;
        let content_type = literal(reply.content_type);
        (*r).headers_out.status = reply.status as usize;
        (*r).headers_out.content_length_n = body.len().try_into().ok()?;
        (*r).headers_out.content_type = content_type;
        // The type without its parameters, by which filters choose; as it is shorter, nginx adds no charset.
        (*r).headers_out.content_type_len = reply.content_type.find(';').unwrap_or(content_type.len);
        (*r).headers_out.content_type_lowcase = null_mut();
        // There is no time of a last change that a condition could be about.
        request::set_disable_not_modified(&mut *r, true);
        add_header(r, "Cache-Control", "no-store")?;
        add_header(r, "X-Content-Type-Options", "nosniff")?;
        add_header(r, "Content-Security-Policy", reply.policy)?;

        let rc = ngx_http_send_header(r);
        if rc == NGX_ERROR as ngx_int_t || rc > NGX_OK as ngx_int_t || request::header_only(&*r) {
            return Some(rc);
        }

        Some(ngx_http_output_filter(r, out))
    }
}

/// A chain of buffers, one for each piece.
///
/// # Safety
///
/// The request is there, and what is to be sent lives as long as its pool.
unsafe fn chain(r: *mut ngx_http_request_t, body: &Pieces) -> Option<*mut ngx_chain_t> {
    let mut first: *mut ngx_chain_t = null_mut();
    let mut next = addr_of_mut!(first);
    let mut last: *mut ngx_buf_t = null_mut();
    for piece in body.iter() {
        // SAFETY: by the contract; `next` is the end of the chain so far.
        unsafe {
            let link = ngx_alloc_chain_link((*r).pool).as_mut()?;
            let buffer = ngx_pcalloc((*r).pool, size_of::<ngx_buf_t>()).cast::<ngx_buf_t>().as_mut()?;
            buffer.start = piece.as_ptr().cast_mut();
            buffer.pos = buffer.start;
            buffer.last = buffer.start.add(piece.len());
            buffer.end = buffer.last;
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

/// # Safety
///
/// The request is there, and its header was not sent yet.
unsafe fn add_header(r: *mut ngx_http_request_t, name: &'static str, value: &'static str) -> Option<()> {
    // SAFETY: by the contract; the list's elements are of this type and come without a value.
    unsafe {
        let header = ngx_list_push(addr_of_mut!((*r).headers_out.headers)).cast::<ngx_table_elt_t>();
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

fn literal(text: &'static str) -> ngx_str_t {
    ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() }
}
