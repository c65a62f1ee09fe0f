//! Lines in nginx's error log.
//!
//! nginx writes what it is given as it is, so whoever formats bytes of a peer or of a configuration escapes them.

#![allow(unsafe_code)]

use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::{addr_of, NonNull};

use nginx_sys::{ngx_cycle, ngx_log_t, NGX_LOG_ALERT, NGX_LOG_EMERG, NGX_LOG_ERR, NGX_LOG_NOTICE, NGX_LOG_WARN};

/// A log that is there for as long as this is used.
#[derive(Clone, Copy)]
pub struct Log(NonNull<ngx_log_t>);

impl Log {
    /// The log behind the pointer; `None` for NULL.
    ///
    /// # Safety
    ///
    /// The log outlives the value that is returned, which is used on the event loop's thread only.
    pub unsafe fn new(log: *mut ngx_log_t) -> Option<Log> {
        NonNull::new(log).map(Log)
    }

    /// The log of the current configuration.
    ///
    /// # Safety
    ///
    /// As for [`new`](Log::new): the log goes when the configuration goes.
    pub unsafe fn cycle() -> Option<Log> {
        // SAFETY: nginx sets `ngx_cycle` before it loads a module, and always to a cycle that is there.
        unsafe { addr_of!(ngx_cycle).read().as_ref() }.and_then(|cycle| NonNull::new(cycle.log)).map(Log)
    }

    /// What an operator must know before nginx starts.
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

    fn write(self, level: u32, errno: i32, text: fmt::Arguments<'_>) {
        let level = level as usize;
        // SAFETY: the log is there, by the contract of the constructors.
        if level > unsafe { addr_of!((*self.0.as_ptr()).log_level).read() } {
            return;
        }
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; ngx::log::LOG_BUFFER_SIZE];
        let text = ngx::log::write_fmt(&mut buffer, text);
        // SAFETY: as above; the text is copied before the call returns.
        unsafe { ngx::log::log_error(level, self.0.as_ptr(), errno, text) };
    }
}
