//! The greeting of a connection, and its effect on operations.

use super::call::Stage;
use super::state::Client;
use crate::id::{CallId, ConnId, ServerId};
use crate::network::Cause;
use crate::operation::key::Key;
use crate::operation::work::Work;
use crate::protocol::greeting::Progress;
use crate::time::Instant;

impl<T> Client<T> {
    /// Bytes have come on a connection that is not ready.
    #[cold]
    pub(super) fn greeted(&mut self, conn: ConnId, id: ServerId, now: Instant) {
        let Some(server) = self.servers.get_mut(id) else { return };
        match server.read_greeting(conn, &mut self.network, now) {
            Ok(Progress::Done) => {
                self.refuse_unsupported(id, now);
                self.ready(conn, id, now);
            }
            // The server has closed it, and another one was opened.
            Ok(Progress::Again) => self.pump(id, now),
            Ok(Progress::Asks | Progress::Waits) => {}
            Err(unfit) => self.fail(conn, Cause::Unfit(unfit), false, now),
        }
    }

    /// Whether the server supports the operation, as far as its dialect is known.
    #[inline]
    pub(super) fn supports(&self, id: ServerId, key: Option<&Key>, work: &Work) -> bool {
        self.servers.get(id).is_none_or(|server| server.supports(key, work))
    }

    /// Ends the operations that wait for the server, and that it does not support.
    fn refuse_unsupported(&mut self, id: ServerId, now: Instant) {
        let name = self.servers.name(id);
        let Some(server) = self.servers.get_mut(id) else { return };
        let calls = &self.calls;
        let refusal = |id: CallId| {
            let call = calls.get(id).filter(|call| call.stage == Stage::Queued)?;
            let work = call.work().filter(|work| !server.supports(call.key.as_ref(), work))?;
            Some((id, call.module, server.cannot(&name, call.key.as_ref(), work)))
        };
        let refused: Vec<_> = server.queued().filter_map(refusal).collect();
        refused.iter().for_each(|(_, module, _)| server.gave_up_waiting(*module));
        refused.into_iter().for_each(|(call, _, error)| self.complete(call, Err(error), now));
    }
}
