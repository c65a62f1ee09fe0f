//! Lines in nginx's error log.
//!
//! nginx does not escape anything: escape the bytes of a peer or of a configuration before.

#![allow(unsafe_code)]

use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::{addr_of, NonNull};

use nginx_sys::{
    ngx_log_t, NGX_LOG_ALERT, NGX_LOG_DEBUG, NGX_LOG_DEBUG_HTTP, NGX_LOG_EMERG, NGX_LOG_ERR, NGX_LOG_NOTICE,
    NGX_LOG_WARN,
};

use super::global::global;

/// A log that is valid for `'a`. A log of a worker's own cycle is `'static`: see [`Cycle`](super::cycle::Cycle).
#[derive(Clone, Copy)]
pub struct Log<'a>(NonNull<ngx_log_t>, PhantomData<&'a ngx_log_t>);

impl Log<'_> {
    /// The log behind the pointer; `None` for NULL.
    ///
    /// # Safety
    ///
    /// The log is there for the lifetime of what is returned, which is used on the event loop's thread only.
    pub unsafe fn new(log: *mut ngx_log_t) -> Option<Self> {
        NonNull::new(log).map(|log| Log(log, PhantomData))
    }

    /// Calls `write` with the log of the current configuration.
    pub fn current(write: impl FnOnce(Log<'_>)) {
        let cycle = global!(ngx_cycle);
        // SAFETY: nginx sets it before it loads a module, always to a cycle that is there, which does not go before this
        // returns; nor does its log.
        if let Some(log) = unsafe { cycle.as_ref().and_then(|cycle| Log::new(cycle.log)) } {
            write(log);
        }
    }

    /// nginx's own.
    pub fn as_ptr(self) -> *mut ngx_log_t {
        self.0.as_ptr()
    }

    /// An error that prevents nginx from starting.
    pub fn emerg(self, text: fmt::Arguments<'_>) {
        self.write(NGX_LOG_EMERG, 0, text);
    }

    /// A defect.
    pub fn alert(self, text: fmt::Arguments<'_>) {
        self.write(NGX_LOG_ALERT, 0, text);
    }

    /// Something failed.
    pub fn error(self, text: fmt::Arguments<'_>) {
        self.write(NGX_LOG_ERR, 0, text);
    }

    /// A system call failed with this error number.
    pub fn os_error(self, errno: i32, text: fmt::Arguments<'_>) {
        self.write(NGX_LOG_ERR, errno, text);
    }

    /// Something is likely to fail.
    pub fn warn(self, text: fmt::Arguments<'_>) {
        self.write(NGX_LOG_WARN, 0, text);
    }

    /// Something changed.
    pub fn notice(self, text: fmt::Arguments<'_>) {
        self.write(NGX_LOG_NOTICE, 0, text);
    }

    /// Whether steps are logged: `error_log` has the level "debug", and nginx was built for that.
    #[inline]
    pub fn has_debug(self) -> bool {
        ngx::log::DEBUG && self.level() & NGX_LOG_DEBUG_HTTP as usize != 0
    }

    /// A step, where they are logged.
    #[cold]
    pub fn debug(self, text: fmt::Arguments<'_>) {
        self.write(NGX_LOG_DEBUG, 0, text);
    }

    #[inline]
    fn level(self) -> usize {
        // SAFETY: the log is there, by the contract of the constructors.
        unsafe { addr_of!((*self.0.as_ptr()).log_level).read() }
    }

    fn write(self, level: u32, errno: i32, text: fmt::Arguments<'_>) {
        let level = level as usize;
        if level > self.level() {
            return;
        }
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; ngx::log::LOG_BUFFER_SIZE];
        let text = ngx::log::write_fmt(&mut buffer, text);
        // SAFETY: as in `level`; the text is copied before the call returns.
        unsafe { ngx::log::log_error(level, self.0.as_ptr(), errno, text) };
    }
}
