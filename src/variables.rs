//! `$memcache_*`: what a request has asked of memcached, for the access log.
//!
//! The numbers are those of the main request and its subrequests together, wherever the variable is used. They begin with
//! the first operation that is bound to the request, and are complete when the request is logged.

#![allow(unsafe_code)]

use core::cell::Cell;

use memcache_engine::Instant;
use nginx_sys::{
    ngx_conf_t, ngx_http_add_variable, ngx_http_request_t, ngx_http_variable_value_t, ngx_int_t, ngx_pnalloc,
    ngx_str_t, NGX_ERROR, NGX_HTTP_VAR_NOCACHEABLE, NGX_OK,
};

use crate::abi::tally_of;
use crate::nginx::guard::guard;

/// What a main request has asked of memcached.
pub struct Tally {
    operations: Cell<u64>,
    hits: Cell<u64>,
    misses: Cell<u64>,
    /// The gravest of what the operations came to, the last one of these.
    status: Cell<Status>,
    pending: Cell<u64>,
    /// Since when there has been an operation pending, if there is one.
    since: Cell<Instant>,
    /// Microseconds in which at least one was pending.
    time: Cell<u64>,
}

/// What an operation came to, by gravity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    /// It did what it should.
    Fine,
    /// It found something.
    Hit,
    /// It found nothing, or a condition did not hold.
    Miss,
    /// It failed.
    Error,
}

/// How grave, and the word for it.
#[derive(Clone, Copy)]
pub struct Status {
    /// What decides which one is shown.
    pub gravity: Gravity,
    /// What is shown.
    pub word: &'static str,
}

impl Tally {
    /// That of a request that has asked for nothing yet.
    pub fn new() -> Tally {
        Tally {
            operations: Cell::new(0),
            hits: Cell::new(0),
            misses: Cell::new(0),
            status: Cell::new(Status { gravity: Gravity::Fine, word: "OK" }),
            pending: Cell::new(0),
            since: Cell::default(),
            time: Cell::new(0),
        }
    }

    /// A call with so many operations was accepted.
    pub fn begin(&self, operations: usize, now: Instant) {
        more(&self.operations, operations);
        if self.pending.get() == 0 {
            self.since.set(now);
        }
        more(&self.pending, 1);
    }

    /// It has ended.
    pub fn end(&self, now: Instant) {
        let pending = self.pending.get().saturating_sub(1);
        self.pending.set(pending);
        if pending == 0 {
            let micros = now.as_micros().saturating_sub(self.since.get().as_micros());
            self.time.set(self.time.get().saturating_add(micros));
        }
    }

    /// A call was refused at once.
    pub fn refused(&self, operations: usize, status: Status) {
        more(&self.operations, operations);
        self.note(false, status);
    }

    /// What one of its operations came to. `reads`: it is one that hits or misses.
    pub fn note(&self, reads: bool, status: Status) {
        match status.gravity {
            Gravity::Hit if reads => more(&self.hits, 1),
            Gravity::Miss if reads => more(&self.misses, 1),
            _ => {}
        }
        if status.gravity >= self.status.get().gravity {
            self.status.set(status);
        }
    }
}

fn more(number: &Cell<u64>, count: usize) {
    number.set(number.get().saturating_add(count as u64));
}

/* the variables */

type Show = fn(&Tally) -> String;

/// Their names and what they show.
const VARIABLES: [(&str, Show); 5] = [
    ("memcache_time", |tally| {
        let millis = tally.time.get() / 1000;
        format!("{}.{:03}", millis / 1000, millis % 1000)
    }),
    ("memcache_ops", |tally| tally.operations.get().to_string()),
    ("memcache_hits", |tally| tally.hits.get().to_string()),
    ("memcache_misses", |tally| tally.misses.get().to_string()),
    ("memcache_status", |tally| tally.status.get().word.to_string()),
];

/// Makes them known. `None`: there is no memory, or somebody else has one of the names; nginx has said so.
///
/// # Safety
///
/// `cf` is what nginx passes before it reads the http block.
pub unsafe fn add(cf: *mut ngx_conf_t) -> Option<()> {
    for (index, (name, _)) in VARIABLES.iter().enumerate() {
        let mut name = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
        // SAFETY: by the contract; nginx copies the name. It would write to it only to lower its case, and it is.
        let variable = unsafe { ngx_http_add_variable(cf, &raw mut name, NGX_HTTP_VAR_NOCACHEABLE as usize).as_mut() }?;
        variable.get_handler = Some(get);
        variable.data = index;
    }
    Some(())
}

unsafe extern "C" fn get(r: *mut ngx_http_request_t, value: *mut ngx_http_variable_value_t, index: usize) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx asks for a variable of a request that is there, its main one too, with a place for the value.
        unsafe {
            let value = &mut *value;
            let shown = VARIABLES.get(index).zip(tally_of((*r).main)).map(|((_, show), tally)| show(tally));
            let Some(text) = shown else {
                value.set_not_found(1);
                return NGX_OK as ngx_int_t;
            };
            let data = ngx_pnalloc((*r).pool, text.len()).cast::<u8>();
            if data.is_null() {
                return NGX_ERROR as ngx_int_t;
            }
            data.copy_from_nonoverlapping(text.as_ptr(), text.len());
            value.set_len(text.len() as _);
            value.set_valid(1);
            value.set_no_cacheable(0);
            value.set_not_found(0);
            value.data = data;
            NGX_OK as ngx_int_t
        }
    })
}
