//! Debug lines for each step, if `error_log` has the level "debug". Keys are escaped, values are never logged.

#![forbid(unsafe_code)]

use std::rc::Rc;

use memcache_engine::{Answer, CallId, ConnId, ServerId, Subset};

use super::{Driver, SubmitError};

impl Driver {
    /// A line, where steps are logged: nothing is computed for it elsewhere.
    #[inline]
    pub(super) fn debug(&self, text: impl FnOnce() -> String) {
        if self.log.has_debug() {
            self.log.debug(format_args!("memcache {}", text()));
        }
    }

    /// The same about a connection.
    #[inline]
    pub(super) fn debug_connection(&self, conn: ConnId, text: impl FnOnce() -> String) {
        self.debug(|| format!("{}, connection {}", text(), conn.to_u64()));
    }

    /// Whether an operation was accepted.
    #[inline]
    pub(super) fn debug_call(&self, call: &Result<CallId, SubmitError>, what: impl FnOnce() -> String) {
        self.debug(|| match call {
            Ok(call) => format!("submit {}, call {}", what(), call.to_u64()),
            Err(SubmitError::Client(error)) => format!("refuse {}: {error}", what()),
            Err(SubmitError::InUse) => format!("refuse {}: the client is in use", what()),
        });
    }

    /// The result of an operation.
    #[inline]
    pub(super) fn debug_answer(&self, call: CallId, server: ServerId, answer: &Answer) {
        self.debug(|| {
            let answer = match answer {
                Ok(outcome) => outcome.name().to_string(),
                Err(error) => error.to_string(),
            };
            format!("complete call {}: {answer}{}", call.to_u64(), self.name(server))
        });
    }

    /// A verb and its key, and where that is routed to.
    pub(super) fn describe(&self, subset: Subset, verb: &str, key: &[u8]) -> String {
        let server = self.view(|client| client.server_within(subset, key).ok()).flatten();
        format!("{verb} \"{}\"{}", key.escape_ascii(), self.name(server.unwrap_or(ServerId::MAX)))
    }

    pub(super) fn name(&self, server: ServerId) -> String {
        let name = |server: Rc<super::Server>| format!(", server \"{}\"", server.name.escape_ascii());
        self.server(server).map(name).unwrap_or_default()
    }
}
