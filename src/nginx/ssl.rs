//! TLS on outgoing connections, by nginx's functions and its OpenSSL.
//!
//! The functions are looked up by name when the configuration asks for TLS. An nginx without SSL does not have them,
//! and the loader refuses a module that links to missing functions.

#![allow(unsafe_code)]

mod functions;
mod load;

use core::cell::Cell;
use core::ffi::{c_int, c_long, c_void, CStr};
use core::mem;
use core::net::IpAddr;
use core::ptr::{self, NonNull};
use std::ffi::CString;
use std::rc::Rc;

use bytes::Bytes;
use memcache_bits::ssl as bits;
use memcache_engine::{Loss, TOO_MANY_CONNECTIONS};
use nginx_sys::{
    ngx_connection_t, ngx_create_pool, ngx_destroy_pool, ngx_int_t, ngx_pcalloc, ngx_uint_t, NGX_AGAIN, NGX_OK,
};

use self::functions::Functions;
use super::conf::{Conf, LineError};

/// nginx's `NGX_SSL_CLIENT`.
const CLIENT: ngx_uint_t = 2;
/// OpenSSL's `SSL_CTRL_SET_TLSEXT_HOSTNAME` and `TLSEXT_NAMETYPE_host_name`, `X509_V_OK`, `X509_V_ERR_CERT_HAS_EXPIRED`.
const SET_HOST_NAME: c_int = 55;
const HOST_NAME: c_long = 0;
const VERIFIED: c_long = 0;
const HAS_EXPIRED: c_long = 10;
/// OpenSSL's `SSL_RECEIVED_SHUTDOWN`.
const RECEIVED_SHUTDOWN: c_int = 2;
/// A TLS record begins with its type, one of these.
const RECORD_TYPES: core::ops::RangeInclusive<u8> = 20..=24;
/// Bytes of a connection's pool, which holds little more than its `ngx_ssl_connection_t`.
const POOL: usize = 512;

/// Whether this nginx supports TLS; `Err`: why not.
pub fn check_available() -> Result<(), String> {
    bits::size().ok_or("it was built for an nginx without SSL")?;
    Functions::find().map_err(|name| format!("there is no {name}() in this nginx"))?;
    Ok(())
}

/// The TLS settings of connections. Different settings have different debug output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether the certificate has to be trusted, and valid for the name.
    pub verify: bool,
    /// The most authorities between the certificate and a trusted one.
    pub verify_depth: usize,
    /// A file with authorities; `None`: the system's.
    pub trusted: Option<Bytes>,
    /// A file with revoked certificates.
    pub crl: Option<Bytes>,
    /// The name; `None`: the host of each server.
    pub name: Option<Bytes>,
    /// Whether the name is sent to the server (SNI).
    pub server_name: bool,
    /// nginx's bits for TLS versions.
    pub protocols: usize,
    /// OpenSSL's list of ciphers.
    pub ciphers: Bytes,
    /// Whether a connection resumes the session of an earlier one.
    pub session_reuse: bool,
    /// Files with the client certificate and its key.
    pub certificate: Option<(Bytes, Bytes)>,
    /// A file with passwords of the key.
    pub passwords: Option<Bytes>,
    /// OpenSSL's configuration commands, with their values.
    pub conf_commands: Vec<(Bytes, Bytes)>,
}

/// The TLS context of connections with the same settings. It lives as long as the configuration.
pub struct Context {
    functions: Functions,
    /// An `ngx_ssl_t` in the pool of the configuration.
    ssl: NonNull<c_void>,
    options: Options,
}

impl Context {
    /// nginx logs what is wrong with a file.
    pub fn new(conf: &Conf<'_>, options: Options) -> Result<Context, LineError> {
        let unavailable = |why: String| LineError::Text(format!("\"memcache_ssl\" is not supported: {why}"));
        let size = bits::size().ok_or_else(|| unavailable("it was built for an nginx without SSL".into()))?;
        let functions = Functions::find().map_err(|name| unavailable(format!("there is no {name}()")))?;
        let cf = conf.as_ptr();
        // SAFETY: the pool of the configuration, whose memory begins as zeros here; a log that lives as long.
        let ssl = unsafe {
            let ssl = NonNull::new(ngx_pcalloc((*cf).pool, size)).ok_or(LineError::Logged)?;
            bits::set_log(ssl.as_ptr(), (*cf).log);
            (functions.ngx_ssl_create)(ssl.as_ptr(), options.protocols, ptr::null_mut())
                .eq(&(NGX_OK as ngx_int_t))
                .then_some(ssl)
                .ok_or(LineError::Logged)?
        };
        // From here on, a drop frees what nginx has allocated.
        let context = Context { functions, ssl, options };
        context.load(conf)?;
        Ok(context)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: nginx has made it, and connections hold what they need of it themselves.
        unsafe { (self.functions.ngx_ssl_cleanup_ctx)(self.ssl.as_ptr()) };
    }
}

/// The server of secured connections.
pub struct Peer {
    context: Rc<Context>,
    /// Empty: the server has no name.
    name: CString,
    is_ip: bool,
    /// The server's last session, an `SSL_SESSION` that this value owns; NULL: none.
    session: Cell<*mut c_void>,
}

/// The host of an address with a port; empty: the address is a path of a socket.
pub fn host(address: &[u8]) -> &[u8] {
    if address.starts_with(b"unix:") {
        return &[];
    }
    let colon = address.iter().rposition(|&byte| byte == b':').unwrap_or(address.len());
    let host = address.get(..colon).unwrap_or_default();
    host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host)
}

/// The result of a step of the handshake.
pub enum Handshake {
    /// The connection is secured, and the certificate has passed the checks that are on.
    Done,
    /// An event shows when to continue.
    Pending,
    /// It failed, with OpenSSL's message if there is one.
    Failed(Loss, String),
}

impl Peer {
    /// `host`: as in the configuration, without the port.
    pub fn new(context: &Rc<Context>, host: &[u8]) -> Peer {
        let name = context.options.name.as_deref().unwrap_or(host);
        let is_ip = core::str::from_utf8(name).is_ok_and(|name| name.parse::<IpAddr>().is_ok());
        Peer {
            context: context.clone(),
            name: CString::new(name).unwrap_or_default(),
            is_ip,
            session: Cell::new(ptr::null_mut()),
        }
    }

    /// Prepares an open connection. `None`: memory is short. nginx calls `save` with it when the server sends a
    /// session, and `save` calls [`save_session`](Peer::save_session).
    ///
    /// # Safety
    ///
    /// The connection is open, has no TLS yet, and is closed by [`close`](Peer::close).
    pub unsafe fn begin(&self, c: *mut ngx_connection_t, save: bits::Save) -> Option<()> {
        let Context { functions, ssl, options } = &*self.context;
        // SAFETY: by the contract; OpenSSL copies the name.
        unsafe {
            (*c).pool = ngx_create_pool(POOL, (*c).log);
            if (*c).pool.is_null()
                || (functions.ngx_ssl_create_connection)(ssl.as_ptr(), c, CLIENT) != NGX_OK as ngx_int_t
            {
                return None;
            }
            if options.session_reuse {
                bits::save_session(c, Some(save));
                let session = self.session.get();
                if !session.is_null() && (functions.ngx_ssl_set_session)(c, session) != NGX_OK as ngx_int_t {
                    return None;
                }
            }
            // RFC 6066 allows no addresses.
            if options.server_name && !self.is_ip && !self.name.is_empty() {
                let name = self.name.as_ptr().cast_mut().cast();
                if (functions.SSL_ctrl)(bits::of(c), SET_HOST_NAME, HOST_NAME, name) == 0 {
                    return None;
                }
            }
        }
        Some(())
    }

    /// What the server's first bytes show: `Ok` if they are TLS; `None`: it has sent none yet.
    ///
    /// # Safety
    ///
    /// The connection is open, and nothing was read from it.
    pub unsafe fn first_bytes(&self, c: *mut ngx_connection_t) -> Option<Result<(), Loss>> {
        let mut bytes = [0u8; TOO_MANY_CONNECTIONS.len()];
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        // SAFETY: by the contract; the kernel writes no more than the array holds.
        let seen = unsafe { libc::recv((*c).fd, bytes.as_mut_ptr().cast(), bytes.len(), flags) };
        let seen = usize::try_from(seen).ok().and_then(|seen| bytes.get(..seen))?;
        Some(match seen.first()? {
            first if RECORD_TYPES.contains(first) => Ok(()),
            _ if seen == TOO_MANY_CONNECTIONS => Err(Loss::Full),
            _ => Err(Loss::NotTls),
        })
    }

    /// Continues the handshake. nginx then has handlers of its own in the events.
    ///
    /// # Safety
    ///
    /// The connection is open, and [`begin`](Peer::begin) has prepared it.
    pub unsafe fn handshake(&self, c: *mut ngx_connection_t) -> Handshake {
        // SAFETY: by the contract.
        let code = unsafe { (self.context.functions.ngx_ssl_handshake)(c) };
        let done = match c_int::try_from(code).unwrap_or_default() {
            0 => self.verify(c).map_or_else(|(loss, text)| Handshake::Failed(loss, text), |()| Handshake::Done),
            NGX_AGAIN => Handshake::Pending,
            _ => Handshake::Failed(Loss::Handshake, String::new()),
        };
        if matches!(done, Handshake::Failed(..)) {
            // A resumed session has the certificate of its first handshake. The next connection has to check the
            // current one.
            self.set_session(ptr::null_mut());
        }
        done
    }

    /// Whether the server has ended TLS, by `close_notify` or a fatal alert. nginx reports the first as an end, and the
    /// second as an error.
    ///
    /// # Safety
    ///
    /// The connection is open, and [`begin`](Peer::begin) was called for it.
    pub unsafe fn is_ended(&self, c: *mut ngx_connection_t) -> bool {
        // SAFETY: by the contract; OpenSSL only reads.
        unsafe {
            let ssl = bits::of(c);
            !ssl.is_null() && (self.context.functions.SSL_get_shutdown)(ssl) & RECEIVED_SHUTDOWN != 0
        }
    }

    /// Stores the session that the server has sent.
    ///
    /// # Safety
    ///
    /// The connection is open and has TLS.
    pub unsafe fn save_session(&self, c: *mut ngx_connection_t) {
        // SAFETY: by the contract; what is returned is ours.
        self.set_session(unsafe { (self.context.functions.ngx_ssl_get_session)(c) });
    }

    fn set_session(&self, session: *mut c_void) {
        let before = self.session.replace(session);
        if !before.is_null() {
            // SAFETY: it was ours; connections that use it have it themselves.
            unsafe { (self.context.functions.SSL_SESSION_free)(before) };
        }
    }

    /// Checks the server's certificate.
    fn verify(&self, c: *mut ngx_connection_t) -> Result<(), (Loss, String)> {
        let Context { functions, options, .. } = &*self.context;
        if !options.verify {
            return Ok(());
        }
        // SAFETY: the handshake is over, so the connection has TLS; the certificate is ours until it is freed, and the text
        // is a constant.
        unsafe {
            let ssl = bits::of(c);
            let certificate = (functions.peer_certificate)(ssl);
            if certificate.is_null() {
                return Err((Loss::Untrusted, "the server has shown no certificate".into()));
            }
            let (name, len) = (self.name.as_ptr(), self.name.as_bytes().len());
            let is_named = !self.name.is_empty()
                && match self.is_ip {
                    true => (functions.X509_check_ip_asc)(certificate, name, 0) == 1,
                    false => (functions.X509_check_host)(certificate, name, len, 0, ptr::null_mut()) == 1,
                };
            (functions.X509_free)(certificate);
            let code = (functions.SSL_get_verify_result)(ssl);
            if code != VERIFIED {
                let text = CStr::from_ptr((functions.X509_verify_cert_error_string)(code)).to_string_lossy();
                let loss = if code == HAS_EXPIRED { Loss::Expired } else { Loss::Untrusted };
                return Err((loss, format!("certificate verify error: ({code}:{text})")));
            }
            if !is_named {
                let name = self.name.to_bytes().escape_ascii();
                return Err((Loss::WrongName, format!("the certificate does not match \"{name}\"")));
            }
        }
        Ok(())
    }

    /// Sends `close_notify`. The caller closes the socket through nginx next.
    ///
    /// # Safety
    ///
    /// The connection is open, and [`begin`](Peer::begin) was called for it. The caller drops the result after it has
    /// closed the connection.
    pub unsafe fn close(&self, c: *mut ngx_connection_t) -> PoolOf {
        // SAFETY: by the contract. No answer is waited for, so that nginx does not need the connection any more.
        unsafe {
            if !bits::of(c).is_null() {
                bits::save_session(c, None);
                bits::no_wait_shutdown(c);
                (self.context.functions.ngx_ssl_shutdown)(c);
                // The socket is full, so `close_notify` cannot be sent. nginx would wait, and free nothing until then.
                if !bits::of(c).is_null() {
                    bits::no_send_shutdown(c);
                    (self.context.functions.ngx_ssl_shutdown)(c);
                }
            }
            PoolOf(mem::replace(&mut (*c).pool, ptr::null_mut()))
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.set_session(ptr::null_mut());
    }
}

/// The pool of a connection that is being closed.
pub struct PoolOf(*mut nginx_sys::ngx_pool_t);

impl Drop for PoolOf {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: it was the connection's, which is closed.
            unsafe { ngx_destroy_pool(self.0) };
        }
    }
}
