//! An answer that is made over several turns of the event loop, so that it does not delay other requests.
//!
//! The work of a turn is limited to a number of servers, or of bytes. With few servers, the first turn is enough. The
//! answer is complete before any of it is sent. If there is no memory for it, the answer is 503.

#![forbid(unsafe_code)]

use memcache_status::pieces::Pieces;
use memcache_status::rendering::Rendering;
use memcache_status::snapshot::Worker;
use memcache_status::{Query, Snapshot};
use nginx_sys::ngx_int_t;

use super::collect::Collect;
use crate::nginx::{job, request};
use crate::reply::{Reply, SERVICE_UNAVAILABLE};
use crate::{memory, worker};

/// How many servers are collected in a turn.
const SERVERS_PER_TURN: usize = 16;
/// How many bytes are written in a turn before it ends.
const BYTES_PER_TURN: usize = 128 * 1024;
/// The state of an answer.
pub struct Work {
    reply: Reply,
    stage: Stage,
    rendering: Rendering,
    out: Pieces,
}

enum Stage {
    Collect(Collect),
    Write(Snapshot),
}

impl Work {
    /// An empty one. `None`: there is no memory, or no client.
    pub(super) fn new(query: Query, this: Worker, reply: Reply) -> Option<Work> {
        let collect = Collect::new(worker::clusters().ok()?, this, query.key)?;
        Some(Work {
            reply,
            stage: Stage::Collect(collect),
            rendering: Rendering::new(query.format),
            out: Pieces::default(),
        })
    }

    /// Does the work of one turn. Returns whether there is more to do. `None`: there is no memory.
    pub fn step(&mut self) -> Option<bool> {
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

impl job::Work for Work {
    fn turn(&mut self) -> Option<bool> {
        self.step()
    }

    fn answer(self, request: request::Request<'_>, failed: bool) -> ngx_int_t {
        let reply = self.reply;
        let body = (!failed).then(|| self.into_body());
        body.and_then(|body| reply.send(request, body)).unwrap_or(SERVICE_UNAVAILABLE)
    }
}
