//! One line of the configuration, as nginx hands it to the module.

#![allow(unsafe_code)]

use core::ffi::{c_char, CStr};
use core::fmt;
use core::ptr::{addr_of_mut, null_mut};
use core::time::Duration;

use memcache_engine::config::MAX_TIMEOUT;
use nginx_sys::{ngx_conf_t, ngx_parse_offset, ngx_parse_size, ngx_parse_time, ngx_str_t, NGX_LOG_EMERG};

/// `NGX_CONF_OK`.
pub const CONF_OK: *mut c_char = null_mut();

/// `NGX_CONF_ERROR`: the line was refused, and why has been logged.
pub fn conf_error() -> *mut c_char {
    core::ptr::without_provenance_mut(usize::MAX)
}

/// Why a line is refused.
pub enum Refusal {
    /// nginx puts the directive's name in front of this text.
    Plain(&'static CStr),
    /// A text of our own.
    Text(String),
    /// There is no memory; nginx has logged it.
    NoMemory,
}

impl Refusal {
    /// The directive was given before in the same block.
    pub const DUPLICATE: Refusal = Refusal::Plain(c"is duplicate");
    /// The argument is not a time or a size, or out of range.
    pub const INVALID_VALUE: Refusal = Refusal::Plain(c"invalid value");
    /// The argument is not a number.
    pub const INVALID_NUMBER: Refusal = Refusal::Plain(c"invalid number");
}

/// Where a line is.
#[derive(Clone, Debug)]
pub struct Place {
    file: String,
    line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// The line that is being read.
pub struct Directive<'a> {
    cf: &'a ngx_conf_t,
    ptr: *mut ngx_conf_t,
}

impl<'a> Directive<'a> {
    /// # Safety
    ///
    /// `cf` is what nginx passes to the handler of a directive, which has not returned yet.
    pub unsafe fn new(cf: *mut ngx_conf_t) -> Directive<'a> {
        // SAFETY: by the contract, it is there while the handler runs; nginx changes nothing of it in the meantime.
        Directive { cf: unsafe { &*cf }, ptr: cf }
    }

    /// nginx's own.
    pub fn as_ptr(&self) -> *mut ngx_conf_t {
        self.ptr
    }

    /// The directive's arguments, without its name.
    pub fn args(&self) -> &'a [ngx_str_t] {
        // SAFETY: while a directive is handled, `args` is an array of its words, the name first.
        unsafe { self.cf.args.as_ref().map_or(&[][..], |args| args.as_slice()) }.get(1..).unwrap_or_default()
    }

    /// The directive's name.
    pub fn name(&self) -> &'a [u8] {
        // SAFETY: as in `args`.
        let words = unsafe { self.cf.args.as_ref().map_or(&[][..], |args| args.as_slice::<ngx_str_t>()) };
        words.first().map_or(&[], ngx_str_t::as_bytes)
    }

    /// The argument of a directive with one argument.
    pub fn arg(&self) -> &'a [u8] {
        self.args().first().map_or(&[], ngx_str_t::as_bytes)
    }

    /// The argument as a time, above 0 and up to [`MAX_TIMEOUT`].
    pub fn time(&self) -> Result<Duration, Refusal> {
        let mut text = self.args().first().copied().unwrap_or_default();
        // SAFETY: a string that nginx made; it is only read.
        let millis = unsafe { ngx_parse_time(addr_of_mut!(text), 0) };
        let time = u64::try_from(millis).map(Duration::from_millis).map_err(|_| Refusal::INVALID_VALUE)?;
        if time.is_zero() || time > MAX_TIMEOUT {
            return Err(Refusal::INVALID_VALUE);
        }
        Ok(time)
    }

    /// The argument as a size in bytes, with nginx's units.
    pub fn size(&self, least: usize, most: usize) -> Result<usize, Refusal> {
        let mut text = self.args().first().copied().unwrap_or_default();
        // SAFETY: as in `time`.
        let size = unsafe { ngx_parse_offset(addr_of_mut!(text)) };
        let size = usize::try_from(size).map_err(|_| Refusal::INVALID_VALUE)?;
        if !(least..=most).contains(&size) {
            return Err(Refusal::INVALID_VALUE);
        }
        Ok(size)
    }

    /// The argument as name and size of shared memory, `name:size`.
    pub fn zone(&self) -> Result<(ngx_str_t, usize), Refusal> {
        let text = self.args().first().copied().unwrap_or_default();
        let bytes = text.as_bytes();
        let quoted = |what| Refusal::Text(format!("invalid zone {what} \"{}\"", bytes.escape_ascii()));
        let colon = bytes.iter().position(|&byte| byte == b':').ok_or_else(|| quoted("size"))?;
        if colon == 0 {
            return Err(quoted("name"));
        }
        let (_, size) = bytes.split_at_checked(colon.saturating_add(1)).ok_or_else(|| quoted("size"))?;
        let mut size = ngx_str_t { len: size.len(), data: size.as_ptr().cast_mut() };
        // SAFETY: a part of a string that nginx made; it is only read.
        let size = unsafe { ngx_parse_size(addr_of_mut!(size)) };
        match usize::try_from(size) {
            Ok(size) if size > 0 => Ok((ngx_str_t { len: colon, data: text.data }, size)),
            _ => Err(quoted("size")),
        }
    }

    /// The argument as a decimal number.
    pub fn number(&self, least: usize, most: usize) -> Result<usize, Refusal> {
        let text = self.arg();
        if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
            return Err(Refusal::INVALID_NUMBER);
        }
        let number = core::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        match number {
            Some(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(Refusal::Text(format!("value must be between {least} and {most}"))),
        }
    }

    /// Where the line is.
    pub fn place(&self) -> Place {
        // SAFETY: while a line is read, `conf_file` is the file that it is in; there is none for `nginx -g`.
        match unsafe { self.cf.conf_file.as_ref() } {
            Some(conf) => Place { file: conf.file.name.to_string(), line: conf.line },
            None => Place { file: "command line".into(), line: 0 },
        }
    }

    /// Says why, unless nginx does, and returns what the handler is to return.
    pub fn refuse(&self, refusal: Refusal) -> *mut c_char {
        match refusal {
            Refusal::Plain(text) => text.as_ptr().cast_mut(),
            Refusal::NoMemory => conf_error(),
            Refusal::Text(text) => {
                let (len, data) = (text.len(), text.as_ptr());
                // SAFETY: "%*s" takes a size_t and a pointer; the text is copied before the call returns.
                unsafe {
                    nginx_sys::ngx_conf_log_error(NGX_LOG_EMERG as usize, self.ptr, 0, c"%*s".as_ptr(), len, data);
                }
                conf_error()
            }
        }
    }
}
