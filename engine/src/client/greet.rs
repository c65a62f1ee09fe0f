//! What a server says of itself before a connection is used, and what that means for its operations.

use super::call::Stage;
use super::state::Client;
use crate::id::{CallId, ConnId, ServerId};
use crate::network::Cause;
use crate::operation::key::Key;
use crate::operation::work::Work;
use crate::protocol::greeting::Progress;
use crate::time::Instant;

impl<T> Client<T> {
    /// A connection that is not ready has said something.
    #[cold]
    pub(super) fn greeted(&mut self, conn: ConnId, id: ServerId, now: Instant) {
        let Some(server) = self.servers.get_mut(id) else { return };
        match server.read_greeting(conn, &mut self.network, now) {
            Ok(Progress::Done) => {
                self.refuse_unsupported(id, now);
                self.ready(conn, id, now);
            }
            // The server has closed it, and opened another.
            Ok(Progress::Again) => self.pump(id, now),
            Ok(Progress::Asks | Progress::Waits) => {}
            Err(unfit) => self.fail(conn, Cause::Unfit(unfit), false, now),
        }
    }

    /// Whether the server can do that, as far as it has said what it is.
    #[inline]
    pub(super) fn supports(&self, id: ServerId, key: Option<&Key>, work: &Work) -> bool {
        self.servers.get(id).is_none_or(|server| server.supports(key, work))
    }

    /// Ends what waits for the server and that it cannot do, as it has said only now.
    fn refuse_unsupported(&mut self, id: ServerId, now: Instant) {
        let Some(server) = self.servers.get_mut(id) else { return };
        let calls = &self.calls;
        let refusal = |id: CallId| {
            let call = calls.get(id).filter(|call| call.stage == Stage::Queued)?;
            let work = call.work().filter(|work| !server.supports(call.key.as_ref(), work))?;
            Some((id, server.cannot(call.key.as_ref(), work)))
        };
        let refused: Vec<_> = server.queued().filter_map(refusal).collect();
        server.gave_up_waiting(refused.len());
        refused.into_iter().for_each(|(call, error)| self.complete(call, Err(error), now));
    }
}
