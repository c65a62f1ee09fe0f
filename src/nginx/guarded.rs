//! Whether a location is guarded, by the directives of nginx's own modules.
//!
//! What other modules have of a location is their own. Of these three, in nginx 1.22 to 1.31, the first word is 0 exactly if the
//! location has no rule: the list of rules of `allow` and `deny` for IPv4, the text of `auth_basic`, the length of the URI of
//! `auth_request`. Only that word is read, and what it points to is not. If a later nginx differs, a warning is missing, or there is one too many.

#![allow(unsafe_code)]

use core::ffi::{c_void, CStr};

use super::conf::{Block, HttpBlock};

const GUARDS: [&CStr; 3] = [c"ngx_http_access_module", c"ngx_http_auth_basic_module", c"ngx_http_auth_request_module"];

impl HttpBlock<'_> {
    /// Whether one of these modules has a rule for the location that a block is. Blocks have inherited.
    pub fn is_guarded(&self, block: Block) -> bool {
        let list = block.locations();
        // SAFETY: a configuration is read for a cycle, which has a list of `modules_n` modules with their names. Each HTTP module
        // has a place in the list of the location, and each of these three has at least a word there, or nothing.
        unsafe {
            let cycle = (*self.as_ptr()).cycle;
            (0..(*cycle).modules_n).any(|n| {
                let module = *(*cycle).modules.add(n);
                if (*module).name.is_null() || !GUARDS.contains(&CStr::from_ptr((*module).name)) {
                    return false;
                }
                let conf: *mut *mut c_void = (*list.add((*module).ctx_index)).cast();
                !conf.is_null() && !(*conf).is_null()
            })
        }
    }
}
