//! What a server says of itself before a connection is used, and what that means for its operations.

use super::call::Stage;
use super::state::Client;
use crate::id::{CallId, ConnId, ServerId};
use crate::network::Cause;
use crate::operation::error::Error;
use crate::operation::work::Work;
use crate::protocol::greeting::Progress;
use crate::time::Instant;

impl<T> Client<T> {
    /// A connection that is not ready has said something.
    pub(super) fn greeted(&mut self, conn: ConnId, id: ServerId, now: Instant) {
        let Some((connection, server)) = self.network.connections.get_mut(conn).zip(self.servers.get_mut(id)) else {
            return;
        };
        match server.read_greeting(connection, now) {
            Ok(Progress::Done) => {
                self.refuse_unsupported(id, now);
                self.ready(conn, id, now);
            }
            Ok(Progress::Asks) => self.network.writes.mark(conn, connection),
            Ok(Progress::Waits) => {}
            Err(unfit) => self.fail(conn, Cause::Unfit(unfit), false, now),
        }
    }

    /// Whether the server can do that, as far as it has said what it is.
    #[inline]
    pub(super) fn supports(&self, id: ServerId, work: &Work) -> bool {
        self.servers.get(id).is_none_or(|server| server.supports(work))
    }

    /// Ends what waits for the server and that it cannot do, as it has said only now.
    fn refuse_unsupported(&mut self, id: ServerId, now: Instant) {
        let Some(server) = self.servers.get_mut(id) else { return };
        let calls = &self.calls;
        let is_refused = |work: &Work| !server.supports(work);
        let waits = |id: &CallId| calls.get(*id).filter(|call| call.stage == Stage::Queued);
        let refused = |call: &CallId| waits(call).and_then(|call| call.work()).is_some_and(is_refused);
        let refused: Vec<CallId> = server.queued().filter(refused).collect();
        server.gave_up_waiting(refused.len());
        refused.into_iter().for_each(|call| self.complete(call, Err(Error::Unsupported), now));
    }
}
