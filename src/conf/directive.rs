//! One line of the configuration, as nginx hands it to the module.

#![allow(unsafe_code)]

use core::ffi::{c_char, CStr};
use core::fmt;
use core::ptr::{addr_of_mut, null_mut};
use core::time::Duration;
use std::rc::Rc;

use memcache_engine::config::MAX_TIMEOUT;
use nginx_sys::{ngx_conf_t, ngx_parse_offset, ngx_parse_size, ngx_parse_time, ngx_str_t, NGX_LOG_EMERG};

use crate::nginx::log::Log;

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
    /// A text of our own, about a line that was read before.
    At(String, Place),
    /// There is no memory; nginx has logged it.
    NoMemory,
}

impl Refusal {
    /// The directive was given before in the same block.
    pub const DUPLICATE: Refusal = Refusal::Plain(c"is duplicate");
}

/// Where a line is.
#[derive(Clone, Debug)]
pub struct Place {
    file: Rc<str>,
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
        let time = u64::try_from(millis).ok().map(Duration::from_millis);
        time.filter(|time| !time.is_zero() && *time <= MAX_TIMEOUT).ok_or_else(|| {
            let hours = MAX_TIMEOUT.as_secs() / 3600;
            self.invalid("value", format_args!("a time from 1ms to {hours}h"))
        })
    }

    /// The argument as a size in bytes, with nginx's units.
    pub fn size(&self, least: usize, most: usize) -> Result<usize, Refusal> {
        let mut text = self.args().first().copied().unwrap_or_default();
        // SAFETY: as in `time`.
        let size = unsafe { ngx_parse_offset(addr_of_mut!(text)) };
        let size = usize::try_from(size).ok().filter(|size| (least..=most).contains(size));
        size.ok_or_else(|| self.invalid("value", format_args!("a size from {least} to {most}")))
    }

    /// `"memcache_timeout" directive invalid value "0", it must be a time from 1ms to 24h`, which begins as nginx says
    /// it.
    fn invalid(&self, what: &str, valid: fmt::Arguments<'_>) -> Refusal {
        let (name, arg) = (self.name().escape_ascii(), self.arg().escape_ascii());
        Refusal::Text(format!("\"{name}\" directive invalid {what} \"{arg}\", it must be {valid}"))
    }

    /// The argument is none of these words.
    pub fn invalid_word(&self, words: &[&str]) -> Refusal {
        let (name, arg) = (self.name().escape_ascii(), self.arg().escape_ascii());
        let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
        let valid = match quoted.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        };
        Refusal::Text(format!("invalid value \"{arg}\" in \"{name}\" directive, it must be {valid}"))
    }

    /// The argument as name and size of shared memory, `name:size`.
    pub fn zone(&self) -> Result<(ngx_str_t, usize), Refusal> {
        let text = self.args().first().copied().unwrap_or_default();
        let bytes = text.as_bytes();
        let quoted = |what| {
            Refusal::Text(format!(
                "invalid zone {what} \"{}\", it must be a name and a size such as \"memcache:1m\"",
                bytes.escape_ascii()
            ))
        };
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
            return Err(self.invalid("number", format_args!("from {least} to {most}")));
        }
        let number = core::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        number.filter(|number| (least..=most).contains(number)).ok_or_else(|| {
            let name = self.name().escape_ascii();
            Refusal::Text(format!("\"{name}\" value must be between {least} and {most}"))
        })
    }

    /// Where the line is.
    pub fn place(&self) -> Place {
        // SAFETY: while a line is read, `conf_file` is the file that it is in; there is none for `nginx -g`.
        match unsafe { self.cf.conf_file.as_ref() } {
            Some(conf) => Place { file: conf.file.name.to_string().into(), line: conf.line },
            None => Place { file: "command line".into(), line: 0 },
        }
    }

    /// Says that the line is allowed, but hardly what was meant.
    pub fn doubt(&self, text: fmt::Arguments<'_>) {
        // SAFETY: nginx reads a configuration with a log.
        if let Some(log) = unsafe { Log::new(self.cf.log) } {
            log.warn(format_args!("{text} in {}", self.place()));
        }
    }

    /// Says why, unless nginx does, and returns what the handler is to return.
    pub fn refuse(&self, refusal: Refusal) -> *mut c_char {
        match refusal {
            Refusal::Plain(text) => text.as_ptr().cast_mut(),
            Refusal::NoMemory => conf_error(),
            Refusal::At(text, place) => {
                // SAFETY: nginx reads a configuration with a log.
                if let Some(log) = unsafe { Log::new(self.cf.log) } {
                    log.emerg(format_args!("{text} in {place}"));
                }
                conf_error()
            }
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
