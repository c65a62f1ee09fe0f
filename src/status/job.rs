//! An answer that is made over several turns of the event loop, so that everybody else in the worker has theirs.
//!
//! A turn looks at so many servers, or writes so many bytes; few servers are done in the first one. Before anything is
//! sent, all of it is there: where there is no memory for that, the answer is 503.

#![allow(unsafe_code)]

use core::cell::RefCell;
use core::ffi::c_void;
use core::ptr::NonNull;

use memcache_status::pieces::Pieces;
use memcache_status::rendering::Rendering;
use memcache_status::snapshot::Worker;
use memcache_status::{Query, Snapshot};
use nginx_sys::{
    ngx_event_t, ngx_http_finalize_request, ngx_http_request_t, ngx_http_run_posted_requests, ngx_int_t, ngx_msec_t,
    NGX_DONE,
};

use super::collect::Collect;
use super::{send, Reply, SERVICE_UNAVAILABLE};
use crate::nginx::event::Event;
use crate::nginx::guard::guard;
use crate::nginx::pool;
use crate::{memory, worker};
use memcache_bits::request;

/// How many servers are looked at in a turn.
const SERVERS_PER_TURN: usize = 16;
/// How many bytes are written in a turn before it ends.
const BYTES_PER_TURN: usize = 128 * 1024;
/// An exiting worker waits for what has a timer.
const PATIENCE: ngx_msec_t = 60_000;

/// What is there of an answer.
pub struct Work {
    stage: Stage,
    rendering: Rendering,
    out: Pieces,
}

enum Stage {
    Collect(Collect),
    Write(Snapshot),
}

impl Work {
    /// Nothing is there yet. `None`: there is no memory, or no client.
    pub fn new(query: Query, this: Worker) -> Option<Work> {
        let collect = Collect::new(worker::clusters().ok()?, this, query.key)?;
        Some(Work { stage: Stage::Collect(collect), rendering: Rendering::new(query.format), out: Pieces::default() })
    }

    /// Does what one turn may do. Returns whether there is more to do. `None`: there is no memory.
    pub fn turn(&mut self) -> Option<bool> {
        let clusters = worker::clusters().ok()?;
        for _ in 0..SERVERS_PER_TURN {
            let Stage::Collect(collect) = &mut self.stage else { break };
            let more = collect.step(clusters)?;
            if memory::is_low() {
                return None;
            }
            if !more {
                let snapshot = collect.finish();
                self.stage = Stage::Write(snapshot);
            }
        }
        let Stage::Write(snapshot) = &mut self.stage else { return Some(true) };
        let begin = self.out.len();
        while self.out.len().saturating_sub(begin) < BYTES_PER_TURN {
            let more = self.rendering.step(snapshot, &mut self.out);
            if memory::is_low() || !self.out.is_complete() {
                return None;
            }
            if !more {
                return Some(false);
            }
        }
        Some(true)
    }

    /// What was written.
    pub fn into_body(self) -> Pieces {
        self.out
    }
}

/// An answer that is under way. It lives in its request's pool, and ends with it at the latest.
#[repr(C)]
struct Job {
    /// What nginx's debug log takes for a connection with its socket when it prints the event.
    ident: [usize; 4],
    request: *mut ngx_http_request_t,
    reply: Reply,
    work: RefCell<Option<Work>>,
    event: Event,
}

impl Drop for Job {
    fn drop(&mut self) {
        self.event.delete();
    }
}

/// Goes on with an answer in the next turn of the event loop. `None`: there is no memory.
///
/// # Safety
///
/// The request is there, its handler is running, and returns what this returns.
pub unsafe fn go_on(r: *mut ngx_http_request_t, reply: Reply, work: Work) -> Option<ngx_int_t> {
    let ident = [0, 0, 0, usize::MAX];
    let job = Job { ident, request: r, reply, work: RefCell::new(Some(work)), event: Event::new() };
    // SAFETY: by the contract; the events outlive the pool. The job stays where it is, deletes its event when it goes,
    // which is before the connection and its log do, and begins with `ident`.
    unsafe {
        let job = pool::place((*r).pool, job)?.as_ref();
        job.event.start(on_turn, NonNull::from(job).cast::<c_void>(), (*(*r).connection).log);
        job.event.set_timer(PATIENCE);
        job.event.post_next();
        let main = &mut *(*r).main;
        let count = request::count(main);
        request::set_count(main, count.wrapping_add(1));
    }
    Some(NGX_DONE as ngx_int_t)
}

unsafe extern "C" fn on_turn(event: *mut ngx_event_t) {
    guard((), || {
        // SAFETY: the event is a job's, which deletes it before it goes.
        let Some(job) = (unsafe { (*event).data.cast::<Job>().as_ref() }) else { return };
        let Ok(mut work) = job.work.try_borrow_mut() else { return };
        let done = match work.as_mut().map(Work::turn) {
            Some(Some(true)) => {
                job.event.set_timer(PATIENCE);
                return job.event.post_next();
            }
            Some(Some(false)) => true,
            Some(None) => false,
            None => return,
        };
        let body = work.take().filter(|_| done).map(Work::into_body);
        drop(work);
        job.event.delete();
        // SAFETY: the request is there, as its pool is, and waits for this; afterwards the job may be gone.
        unsafe {
            let (r, reply) = (job.request, job.reply);
            let c = (*r).connection;
            let rc = body.and_then(|body| send(r, reply, body)).unwrap_or(SERVICE_UNAVAILABLE);
            ngx_http_finalize_request(r, rc);
            ngx_http_run_posted_requests(c);
        }
    });
}
