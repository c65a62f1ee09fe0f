//! nginx's TLS structures, as C has them. Bindings may lack them, and their sizes depend on nginx's version.

use core::ffi::c_void;

use nginx_sys::{ngx_connection_t, ngx_log_t};

/// The callback of nginx for a connection that has got a session.
pub type Save = unsafe extern "C" fn(*mut ngx_connection_t);

extern "C" {
    fn memcache_bits_ssl_size() -> usize;
    fn memcache_bits_ssl_set_log(ssl: *mut c_void, log: *mut ngx_log_t);
    fn memcache_bits_ssl_ctx(ssl: *mut c_void) -> *mut c_void;
    fn memcache_bits_ssl_of(c: *mut ngx_connection_t) -> *mut c_void;
    fn memcache_bits_ssl_no_wait_shutdown(c: *mut ngx_connection_t);
    fn memcache_bits_ssl_no_send_shutdown(c: *mut ngx_connection_t);
    fn memcache_bits_ssl_save_session(c: *mut ngx_connection_t, save: Option<Save>);
}

/// Bytes of an `ngx_ssl_t`. `None`: the nginx of this build has no SSL, and the other functions are of no use.
pub fn size() -> Option<usize> {
    // SAFETY: it returns a constant.
    Some(unsafe { memcache_bits_ssl_size() }).filter(|&size| size > 0)
}

/// Sets `ssl->log`.
///
/// # Safety
///
/// `ssl` is an `ngx_ssl_t` of [`size`] bytes.
pub unsafe fn set_log(ssl: *mut c_void, log: *mut ngx_log_t) {
    // SAFETY: by the contract.
    unsafe { memcache_bits_ssl_set_log(ssl, log) }
}

/// `ssl->ctx`, an `SSL_CTX`.
///
/// # Safety
///
/// As for [`set_log`].
pub unsafe fn ctx(ssl: *mut c_void) -> *mut c_void {
    // SAFETY: by the contract.
    unsafe { memcache_bits_ssl_ctx(ssl) }
}

/// `c->ssl->connection`, an `SSL`; NULL: the connection has no TLS.
///
/// # Safety
///
/// The connection is open.
pub unsafe fn of(c: *mut ngx_connection_t) -> *mut c_void {
    // SAFETY: by the contract.
    unsafe { memcache_bits_ssl_of(c) }
}

/// Sets `c->ssl->no_wait_shutdown`.
///
/// # Safety
///
/// The connection is open and has TLS.
pub unsafe fn no_wait_shutdown(c: *mut ngx_connection_t) {
    // SAFETY: by the contract.
    unsafe { memcache_bits_ssl_no_wait_shutdown(c) }
}

/// Sets `c->ssl->no_send_shutdown`.
///
/// # Safety
///
/// As for [`no_wait_shutdown`].
pub unsafe fn no_send_shutdown(c: *mut ngx_connection_t) {
    // SAFETY: by the contract.
    unsafe { memcache_bits_ssl_no_send_shutdown(c) }
}

/// Sets `c->ssl->save_session`.
///
/// # Safety
///
/// The connection is open and has TLS. The function may be called as long as the connection has TLS.
pub unsafe fn save_session(c: *mut ngx_connection_t, save: Option<Save>) {
    // SAFETY: by the contract.
    unsafe { memcache_bits_ssl_save_session(c, save) }
}
