//! `memcache_status`: what the clients of this worker are doing, as JSON.
//!
//! It opens no connection, changes nothing, and shows nothing of the request, no key and no value.

#![allow(unsafe_code)]

mod json;

use core::ptr::{addr_of, addr_of_mut, null_mut};

use nginx_sys::{
    ngx_chain_t, ngx_conf_t, ngx_create_temp_buf, ngx_http_conf_ctx_t, ngx_http_core_loc_conf_t, ngx_http_core_module,
    ngx_http_discard_request_body, ngx_http_output_filter, ngx_http_request_t, ngx_http_send_header, ngx_int_t,
    ngx_list_push, ngx_pid, ngx_str_t, ngx_table_elt_t, NGX_ERROR, NGX_HTTP_GET, NGX_HTTP_HEAD,
    NGX_HTTP_INTERNAL_SERVER_ERROR, NGX_HTTP_NOT_ALLOWED, NGX_HTTP_OK, NGX_OK,
};

use crate::boundary::guard;
use crate::worker;

const INTERNAL_SERVER_ERROR: ngx_int_t = NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t;

/// Makes this the handler of the location that is being read. `false`: it is already.
///
/// # Safety
///
/// `cf` is what nginx passes to the handler of a directive in a location.
pub unsafe fn install(cf: *mut ngx_conf_t) -> bool {
    // SAFETY: in a location, the context is that of the location, with a configuration of nginx's core for it.
    unsafe {
        let ctx = (*cf).ctx.cast::<ngx_http_conf_ctx_t>();
        let index = addr_of!(ngx_http_core_module.ctx_index).read();
        let core = (*(*ctx).loc_conf.add(index)).cast::<ngx_http_core_loc_conf_t>();
        let is_ours = (*core).handler.is_some_and(|handler| handler as usize == handle as *const () as usize);
        (*core).handler = Some(handle);
        !is_ours
    }
}

unsafe extern "C" fn handle(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx calls the handler of a location with a request.
    guard(INTERNAL_SERVER_ERROR, || unsafe { respond(r) }.unwrap_or(INTERNAL_SERVER_ERROR))
}

/// Answers the request. `None`: there is no memory.
///
/// # Safety
///
/// The request is there.
unsafe fn respond(r: *mut ngx_http_request_t) -> Option<ngx_int_t> {
    // SAFETY: by the contract, here and below: a request has its headers, its pool and its main request.
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

    let text = match worker::clusters() {
        // SAFETY: nginx sets it when the process starts.
        Ok(clusters) => json::page(clusters.iter(), unsafe { addr_of!(ngx_pid).read() }),
        Err(_) => return None,
    };

    // SAFETY: as above.
    unsafe {
        let content_type = literal("application/json");
        (*r).headers_out.status = NGX_HTTP_OK as usize;
        (*r).headers_out.content_length_n = text.len().try_into().ok()?;
        (*r).headers_out.content_type = content_type;
        (*r).headers_out.content_type_len = content_type.len;
        (*r).headers_out.content_type_lowcase = null_mut();
        add_header(r, "Cache-Control", "no-store")?;
        add_header(r, "X-Content-Type-Options", "nosniff")?;

        let rc = ngx_http_send_header(r);
        if rc == NGX_ERROR as ngx_int_t || rc > NGX_OK as ngx_int_t || (*r).header_only() != 0 {
            return Some(rc);
        }

        let buffer = ngx_create_temp_buf((*r).pool, text.len()).as_mut()?;
        buffer.last.copy_from_nonoverlapping(text.as_ptr(), text.len());
        buffer.last = buffer.last.add(text.len());
        buffer.set_last_buf((r == (*r).main).into());
        buffer.set_last_in_chain(1);
        let mut out = ngx_chain_t { buf: buffer, next: null_mut() };
        Some(ngx_http_output_filter(r, addr_of_mut!(out)))
    }
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
