//! The current state of a server.

use crate::config::Protocol;
use crate::metrics::counter::Counter;
use crate::protocol::version::Version;
use crate::shared::State;

/// A client's current state of a server, for others to read. It is updated by [`Client::publish`](crate::Client::publish).
#[derive(Debug, Default)]
#[repr(C)]
pub struct Gauges {
    /// [`State`], as a number.
    state: Counter,
    /// [`ServerView::open`](crate::ServerView::open)
    pub open: Counter,
    /// [`ServerView::connecting`](crate::ServerView::connecting)
    pub connecting: Counter,
    /// [`ServerView::busy`](crate::ServerView::busy)
    pub busy: Counter,
    /// [`ServerView::pending`](crate::ServerView::pending)
    pub pending: Counter,
    /// [`ServerView::queued`](crate::ServerView::queued)
    pub queued: Counter,
    /// The [`Version`] that the server has reported, as a number; 0: it is not one of memcached.
    version: Counter,
    /// Whether it speaks text: 1, or meta: 2; 0: it has said nothing.
    dialect: Counter,
}

impl Gauges {
    /// `now`: how many are open, connecting, busy, pending, queued.
    pub(crate) fn publish(&self, state: State, now: [usize; 5]) {
        self.state.set(state as u64);
        let gauges = [&self.open, &self.connecting, &self.busy, &self.pending, &self.queued];
        gauges.into_iter().zip(now).for_each(|(gauge, now)| gauge.set(now as u64));
    }

    /// The client has ended.
    pub fn clear(&self) {
        let gauges = [&self.state, &self.open, &self.connecting, &self.busy, &self.pending, &self.queued];
        gauges.into_iter().chain([&self.version, &self.dialect]).for_each(|gauge| gauge.set(0));
    }

    pub(crate) fn set_version(&self, version: Option<Version>) {
        self.version.set(version.map_or(0, Version::to_u64));
    }

    /// The version that the server has reported, if it is one of memcached.
    pub fn version(&self) -> Option<Version> {
        Version::from_u64(self.version.get())
    }

    /// The server speaks text, or meta. True if it is text and was not before.
    pub(crate) fn set_text(&self, text: bool) -> bool {
        let before = self.dialect.get();
        self.dialect.set(if text { 1 } else { 2 });
        text && before != 1
    }

    /// What the server speaks, as `memcache_protocol` has it; `None`: it has said nothing.
    pub fn protocol(&self) -> Option<Protocol> {
        match self.dialect.get() {
            1 => Some(Protocol::Text),
            2 => Some(Protocol::Meta),
            _ => None,
        }
    }

    /// The state of the server, for the client.
    pub fn state(&self) -> State {
        let state = self.state.get();
        [State::Live, State::Down, State::Disabled].into_iter().find(|&s| s as u64 == state).unwrap_or(State::Live)
    }
}
