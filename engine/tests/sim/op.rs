//! An operation that was submitted, seen from outside.

use memcache_engine::{CallId, Instant, ServerVerb, Ttl, Verb};

/// The expiry that touches of batches carry, and some others, where the rest carry the operation's number.
pub const OF_BATCH: u32 = 30 * 24 * 60 * 60 - 1;

/// What one worker does with one key on one server.
pub type Lane = (usize, usize, Vec<u8>);

/// An operation that has not been answered.
#[derive(Debug)]
pub struct Op {
    pub call: CallId,
    pub worker: usize,
    /// The server that has the key.
    pub server: usize,
    /// With the prefix; empty: it is about a server itself, or a batch.
    pub key: Vec<u8>,
    pub verb: Option<Verb>,
    /// What it does with a server itself.
    pub on_server: Option<ServerVerb>,
    /// The keys of a batch.
    pub many: Vec<Vec<u8>>,
    pub submitted: Instant,
    pub deadline: Instant,
    /// The same where large values come meanwhile.
    pub latest: Instant,
    /// The key, as it was asked for.
    pub asked: Vec<u8>,
    /// Its server has left the list.
    pub moved: bool,
    /// The list at its submission.
    pub version: usize,
    /// What it must not be answered before, by the ledger.
    pub order: Order,
}

/// What has to come before an operation.
#[derive(Debug, Default)]
pub struct Order {
    /// The writes of its key that its worker has submitted before, and that have no answer.
    pub behind: Vec<u64>,
    /// When the last one that has an answer was carried out.
    pub floor: Instant,
}

impl Op {
    pub fn new(
        call: CallId,
        worker: usize,
        server: usize,
        key: Vec<u8>,
        verb: Option<Verb>,
        times: [Instant; 3],
    ) -> Self {
        let [submitted, deadline, latest] = times;
        Op {
            call,
            worker,
            server,
            key,
            verb,
            on_server: None,
            many: Vec::new(),
            submitted,
            deadline,
            latest,
            asked: Vec::new(),
            moved: false,
            version: 0,
            order: Order::default(),
        }
    }

    pub fn lane(&self) -> Lane {
        (self.worker, self.server, self.key.clone())
    }

    pub fn is_write(&self) -> bool {
        self.verb.as_ref().is_some_and(Verb::is_write) || self.on_server.is_some_and(ServerVerb::is_write)
    }

    pub fn waits_for_others(&self) -> bool {
        matches!(self.verb, Some(Verb::Lease { wait: true, .. }))
    }

    /// A write that a server tells the ledger of.
    pub fn is_tracked(&self) -> bool {
        use Verb::{Count, Get, Store, Touch};
        if self.verb == Some(Touch { ttl: Ttl::secs(OF_BATCH, 0) }) {
            return false;
        }
        matches!(self.verb, Some(Store { .. } | Count { .. } | Touch { .. } | Get { touch: Some(_) }))
    }
}
