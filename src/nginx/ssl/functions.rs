//! The functions of nginx and OpenSSL that TLS needs, by name.

#![allow(unsafe_code)]

use core::ffi::{c_char, c_int, c_long, c_uint, c_void};
use core::mem;
use core::ptr::NonNull;

use nginx_sys::{ngx_array_t, ngx_conf_t, ngx_connection_t, ngx_int_t, ngx_str_t, ngx_uint_t};

macro_rules! functions {
    ($($name:ident($($arg:ty),*) $(-> $result:ty)?;)*) => {
        /// The functions, each with the type that its header gives it; structures are opaque.
        #[allow(missing_docs, non_snake_case)]
        #[derive(Clone, Copy)]
        pub struct Functions {
            $(pub $name: unsafe extern "C" fn($($arg),*) $(-> $result)?,)*
            /// `SSL_get1_peer_certificate`, or its older name.
            pub peer_certificate: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
        }

        impl Functions {
            /// `Err`: the name of one that is not there.
            pub fn find() -> Result<Functions, &'static str> {
                Ok(Functions {
                    $($name: {
                        let found = find(concat!(stringify!($name), "\0")).ok_or(stringify!($name))?;
                        // SAFETY: it is that function, and this its type.
                        unsafe { mem::transmute::<NonNull<c_void>, unsafe extern "C" fn($($arg),*) $(-> $result)?>(found) }
                    },)*
                    peer_certificate: {
                        let found = find("SSL_get1_peer_certificate\0").or_else(|| find("SSL_get_peer_certificate\0"));
                        let found = found.ok_or("SSL_get_peer_certificate")?;
                        // SAFETY: it has two names, and under both this type.
                        unsafe { mem::transmute::<NonNull<c_void>, unsafe extern "C" fn(*mut c_void) -> *mut c_void>(found) }
                    },
                })
            }
        }
    };
}

functions! {
    ngx_ssl_create(*mut c_void, ngx_uint_t, *mut c_void) -> ngx_int_t;
    ngx_ssl_cleanup_ctx(*mut c_void);
    ngx_ssl_ciphers(*mut ngx_conf_t, *mut c_void, *mut ngx_str_t, ngx_uint_t) -> ngx_int_t;
    ngx_ssl_certificate(*mut ngx_conf_t, *mut c_void, *mut ngx_str_t, *mut ngx_str_t, *mut ngx_array_t) -> ngx_int_t;
    ngx_ssl_read_password_file(*mut ngx_conf_t, *mut ngx_str_t) -> *mut ngx_array_t;
    ngx_ssl_conf_commands(*mut ngx_conf_t, *mut c_void, *mut ngx_array_t) -> ngx_int_t;
    ngx_ssl_trusted_certificate(*mut ngx_conf_t, *mut c_void, *mut ngx_str_t, ngx_int_t) -> ngx_int_t;
    ngx_ssl_crl(*mut ngx_conf_t, *mut c_void, *mut ngx_str_t) -> ngx_int_t;
    ngx_ssl_create_connection(*mut c_void, *mut ngx_connection_t, ngx_uint_t) -> ngx_int_t;
    ngx_ssl_handshake(*mut ngx_connection_t) -> ngx_int_t;
    ngx_ssl_shutdown(*mut ngx_connection_t) -> ngx_int_t;
    ngx_ssl_client_session_cache(*mut ngx_conf_t, *mut c_void, ngx_uint_t) -> ngx_int_t;
    ngx_ssl_set_session(*mut ngx_connection_t, *mut c_void) -> ngx_int_t;
    ngx_ssl_get_session(*mut ngx_connection_t) -> *mut c_void;
    SSL_CTX_set_default_verify_paths(*mut c_void) -> c_int;
    SSL_ctrl(*mut c_void, c_int, c_long, *mut c_void) -> c_long;
    SSL_get_shutdown(*const c_void) -> c_int;
    SSL_get_verify_result(*const c_void) -> c_long;
    SSL_SESSION_free(*mut c_void);
    X509_verify_cert_error_string(c_long) -> *const c_char;
    X509_check_host(*mut c_void, *const c_char, usize, c_uint, *mut *mut c_char) -> c_int;
    X509_check_ip_asc(*mut c_void, *const c_char, c_uint) -> c_int;
    X509_free(*mut c_void);
}

/// The address of a function in what is loaded. The name ends with a zero.
fn find(name: &'static str) -> Option<NonNull<c_void>> {
    // SAFETY: a C string.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr().cast()) })
}
