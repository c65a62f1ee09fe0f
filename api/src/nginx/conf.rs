//! A configuration that is being read.

#![allow(unsafe_code)]

use std::ffi::{c_char, c_void};
use std::fmt::Display;
use std::marker::PhantomData;
use std::ptr::NonNull;

use ngx::core::NGX_CONF_OK;
use ngx::ffi::{
    ngx_array_push, ngx_command_t, ngx_conf_set_flag_slot, ngx_conf_t, ngx_flag_t, ngx_http_conf_ctx_t,
    ngx_http_handler_pt, ngx_pcalloc, NGX_CONF_UNSET, NGX_LOG_EMERG,
};
use ngx::http::{HttpModuleLocationConf, HttpModuleMainConf, NgxHttpCoreModule};
use ngx::ngx_conf_log_error;

use super::cycle::CycleRef;

/// What nginx gives to the handler of a directive, and to the functions of a module's `ngx_http_module_t`: it is there for
/// `'c`.
#[derive(Clone, Copy)]
pub(crate) struct ConfRef<'c>(NonNull<ngx_conf_t>, PhantomData<&'c ngx_conf_t>);

impl<'c> ConfRef<'c> {
    /// `None` for NULL.
    ///
    /// # Safety
    ///
    /// nginx gave it to the caller, for the lifetime of what is returned.
    pub(crate) unsafe fn new(cf: *const ngx_conf_t) -> Option<Self> {
        NonNull::new(cf.cast_mut()).map(|cf| ConfRef(cf, PhantomData))
    }

    /// nginx's own.
    pub(crate) fn as_ptr(self) -> *mut ngx_conf_t {
        self.0.as_ptr()
    }

    fn get(self) -> &'c ngx_conf_t {
        // SAFETY: see the type; we change nothing of it.
        unsafe { self.0.as_ref() }
    }

    /// The configuration that is being read: it is not the current one yet.
    pub(crate) fn cycle(self) -> Option<CycleRef<'c>> {
        // SAFETY: it is there as long as it is being read.
        NonNull::new(self.get().cycle).map(|cycle| unsafe { CycleRef::new(cycle) })
    }

    /// What nginx has for the block, if it is one of HTTP.
    pub(crate) fn block(self) -> Option<NonNull<ngx_http_conf_ctx_t>> {
        NonNull::new(self.get().ctx.cast())
    }

    /// A line at level "emerg", with where the directive is.
    pub(crate) fn log_emerg(self, text: impl Display) {
        ngx_conf_log_error!(NGX_LOG_EMERG, self.as_ptr(), "{text}");
    }

    /// Adds a handler to the phase with this index. It is called before those that are there. `None`: there is no memory,
    /// or no such phase.
    pub(crate) fn add_handler(self, phase: usize, handler: ngx_http_handler_pt) -> Option<()> {
        let core = NgxHttpCoreModule::main_conf_mut(self.get())?;
        // SAFETY: nginx's core made the list of each phase before any postconfiguration; they are handlers.
        unsafe {
            *ngx_array_push(&mut core.phases.get_mut(phase)?.handlers).cast::<ngx_http_handler_pt>().as_mut()? = handler
        };
        Some(())
    }

    /// Makes it the content handler of the location. `Some(false)`: it has one already; nginx would take the last one,
    /// without a word.
    pub(crate) fn set_content_handler(self, handler: ngx_http_handler_pt) -> Option<bool> {
        let location = NgxHttpCoreModule::location_conf_mut(self.get())?;
        Some(std::mem::replace(&mut location.handler, handler).is_none())
    }

    /// The configuration of a location whose module has one directive, a flag. NULL: there is no memory.
    pub(crate) fn new_flag(self) -> *mut c_void {
        // SAFETY: what is being read has a pool, which is there as long as the configuration.
        let flag = unsafe { ngx_pcalloc(self.get().pool, size_of::<ngx_flag_t>()).cast::<ngx_flag_t>() };
        // SAFETY: as above: there is room for a flag.
        if let Some(flag) = unsafe { flag.as_mut() } {
            *flag = UNSET;
        }
        flag.cast()
    }

    /// Reads such a directive: whether it is on, and its name. `Err`: what is wrong, for nginx.
    ///
    /// # Safety
    ///
    /// `command` is the directive's, and `flag` what [`new_flag`](Self::new_flag) has returned, at offset 0 of its
    /// location's configuration, as the command says.
    pub(crate) unsafe fn read_flag(
        self,
        command: *mut ngx_command_t,
        flag: *mut c_void,
    ) -> Result<(bool, String), *mut c_char> {
        // SAFETY: guaranteed by the caller.
        unsafe {
            match ngx_conf_set_flag_slot(self.as_ptr(), command, flag) {
                NGX_CONF_OK => Ok((*flag.cast::<ngx_flag_t>() == ON, (*command).name.to_string())),
                error => Err(error),
            }
        }
    }
}

const UNSET: ngx_flag_t = NGX_CONF_UNSET as ngx_flag_t;
const ON: ngx_flag_t = 1;
