//! Work for a request that continues in later turns of the event loop, so that it does not delay other requests.

#![allow(unsafe_code)]

use core::cell::RefCell;
use std::rc::Rc;

use memcache_bits::request as bits;
use nginx_sys::{
    ngx_http_finalize_request, ngx_http_request_t, ngx_http_run_posted_requests, ngx_int_t, ngx_msec_t, NGX_DONE,
};

use super::cycle::Cycle;
use super::event::Event;
use super::pool;
use super::request::Request;

/// An exiting worker waits for what has a timer.
const PATIENCE: ngx_msec_t = 60_000;

/// Work in steps, one for each turn.
pub trait Work: 'static {
    /// Does the work of one turn. Returns whether there is more to do. `None`: it cannot go on.
    fn turn(&mut self) -> Option<bool>;

    /// Answers the request when there is no more to do, or it `failed`. Returns what nginx finalises the request with.
    fn answer(self, request: Request<'_>, failed: bool) -> ngx_int_t;
}

/// Pending work. The request's pool has the only lasting handle, so it ends with the request at the latest.
struct Job<W: Work> {
    /// Invariant: it is valid while there is `work`, which is counted in it.
    request: *mut ngx_http_request_t,
    work: RefCell<Option<W>>,
    event: Event<Job<W>>,
}

/// Starts the work in the next turn of the event loop. Returns the result for the request's handler. `None`: there is no
/// memory.
pub fn start<W: Work>(request: Request<'_>, work: W) -> Option<ngx_int_t> {
    let r = request.as_ptr();
    let log = Cycle::current()?.log()?;
    let job = Rc::new_cyclic(|job| Job {
        request: r,
        work: RefCell::new(Some(work)),
        event: Event::new(job.clone(), Job::on_turn, log),
    });
    // SAFETY: the request is there, and so are its pool and its main request, which waits for this from now on.
    unsafe {
        pool::place((*r).pool, job.clone())?;
        let main = &mut *(*r).main;
        let count = bits::count(main);
        bits::set_count(main, count.wrapping_add(1));
    }
    job.event.set_timer(PATIENCE);
    job.event.post_next();
    Some(NGX_DONE as ngx_int_t)
}

impl<W: Work> Job<W> {
    fn on_turn(&self) {
        let Ok(mut slot) = self.work.try_borrow_mut() else { return };
        let failed = match slot.as_mut().map(W::turn) {
            Some(Some(true)) => {
                self.event.set_timer(PATIENCE);
                return self.event.post_next();
            }
            Some(Some(false)) => false,
            Some(None) => true,
            None => return,
        };
        let Some(work) = slot.take() else { return };
        drop(slot);
        self.event.delete();
        let r = self.request;
        // SAFETY: the request is there: it was waiting for this, and its end would have dropped the job. Nothing of it is
        // used when it has been finalised.
        unsafe {
            let Some(request) = Request::new(r) else { return };
            let c = (*r).connection;
            ngx_http_finalize_request(r, work.answer(request, failed));
            ngx_http_run_posted_requests(c);
        }
    }
}
