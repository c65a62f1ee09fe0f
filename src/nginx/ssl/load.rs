//! What a TLS context gets from the configuration.

#![allow(unsafe_code)]

use core::ptr;

use memcache_bits::ssl as bits;
use nginx_sys::{
    ngx_array_create, ngx_array_push, ngx_array_t, ngx_int_t, ngx_keyval_t, ngx_pnalloc, ngx_str_t, NGX_OK,
};

use super::super::conf::{Conf, LineError};
use super::Context;

/// The error that nginx has logged, if it is one.
fn logged(code: ngx_int_t) -> Result<(), LineError> {
    match code == NGX_OK as ngx_int_t {
        true => Ok(()),
        false => Err(LineError::Logged),
    }
}

impl Context {
    /// Loads all files, and runs the commands last, as nginx does.
    pub(super) fn load(&self, conf: &Conf<'_>) -> Result<(), LineError> {
        let Context { functions, ssl, options } = self;
        let (cf, ssl) = (conf.as_ptr(), ssl.as_ptr());
        let mut ciphers = string(conf, &options.ciphers)?;
        // SAFETY: nginx's structures, as the functions want them; the string ends with a zero.
        unsafe {
            logged((functions.ngx_ssl_ciphers)(cf, ssl, &raw mut ciphers, 0))?;
            logged((functions.ngx_ssl_client_session_cache)(cf, ssl, options.session_reuse.into()))?;
        }
        self.load_certificate(conf)?;
        if options.verify {
            self.load_trusted(conf)?;
        }
        self.run_commands(conf)
    }

    fn load_certificate(&self, conf: &Conf<'_>) -> Result<(), LineError> {
        let Some((certificate, key)) = &self.options.certificate else { return Ok(()) };
        let (mut certificate, mut key) = (string(conf, certificate)?, string(conf, key)?);
        let passwords = self.read_passwords(conf)?;
        let (certificate, key) = (&raw mut certificate, &raw mut key);
        // SAFETY: as in `load`; the passwords are nginx's, or NULL.
        logged(unsafe {
            (self.functions.ngx_ssl_certificate)(conf.as_ptr(), self.ssl.as_ptr(), certificate, key, passwords)
        })
    }

    /// nginx clears them when the configuration was read. NULL: there is no file.
    fn read_passwords(&self, conf: &Conf<'_>) -> Result<*mut ngx_array_t, LineError> {
        let Some(file) = &self.options.passwords else { return Ok(ptr::null_mut()) };
        let mut file = string(conf, file)?;
        // SAFETY: as in `load`.
        let passwords = unsafe { (self.functions.ngx_ssl_read_password_file)(conf.as_ptr(), &raw mut file) };
        match passwords.is_null() {
            true => Err(LineError::Logged),
            false => Ok(passwords),
        }
    }

    fn load_trusted(&self, conf: &Conf<'_>) -> Result<(), LineError> {
        let Context { functions, ssl, options } = self;
        let (cf, ssl) = (conf.as_ptr(), ssl.as_ptr());
        let mut trusted = string(conf, options.trusted.as_deref().unwrap_or_default())?;
        let mut crl = string(conf, options.crl.as_deref().unwrap_or_default())?;
        let depth = ngx_int_t::try_from(options.verify_depth).unwrap_or(ngx_int_t::MAX);
        // SAFETY: as in `load`.
        unsafe {
            logged((functions.ngx_ssl_trusted_certificate)(cf, ssl, &raw mut trusted, depth))?;
            if options.trusted.is_none() && (functions.SSL_CTX_set_default_verify_paths)(bits::ctx(ssl)) != 1 {
                return Err(LineError::Logged);
            }
            logged((functions.ngx_ssl_crl)(cf, ssl, &raw mut crl))
        }
    }

    fn run_commands(&self, conf: &Conf<'_>) -> Result<(), LineError> {
        let commands = &self.options.conf_commands;
        if commands.is_empty() {
            return Ok(());
        }
        let cf = conf.as_ptr();
        // SAFETY: the pool is there. nginx's array has elements of that type, of which each is written when it is added.
        let array = unsafe {
            let array = ngx_array_create((*cf).pool, commands.len(), size_of::<ngx_keyval_t>());
            if array.is_null() {
                return Err(LineError::Logged);
            }
            for (name, value) in commands {
                let (key, value) = (string(conf, name)?, string(conf, value)?);
                let command: *mut ngx_keyval_t = ngx_array_push(array).cast();
                if command.is_null() {
                    return Err(LineError::Logged);
                }
                command.write(ngx_keyval_t { key, value });
            }
            array
        };
        // SAFETY: as in `load`.
        logged(unsafe { (self.functions.ngx_ssl_conf_commands)(cf, self.ssl.as_ptr(), array) })
    }
}

/// A copy that ends with a zero, in the pool of the configuration.
fn string(conf: &Conf<'_>, text: &[u8]) -> Result<ngx_str_t, LineError> {
    // SAFETY: the pool is there; so much memory was asked for.
    unsafe {
        let data: *mut u8 = ngx_pnalloc((*conf.as_ptr()).pool, text.len().saturating_add(1)).cast();
        if data.is_null() {
            return Err(LineError::Logged);
        }
        data.copy_from_nonoverlapping(text.as_ptr(), text.len());
        data.add(text.len()).write(0);
        Ok(ngx_str_t { len: text.len(), data })
    }
}
