//! The current state of a server.

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
        let gauges =
            [&self.state, &self.open, &self.connecting, &self.busy, &self.pending, &self.queued, &self.version];
        gauges.into_iter().for_each(|gauge| gauge.set(0));
    }

    pub(crate) fn set_version(&self, version: Option<Version>) {
        self.version.set(version.map_or(0, Version::to_u64));
    }

    /// The version that the server has reported, if it is one of memcached.
    pub fn version(&self) -> Option<Version> {
        Version::from_u64(self.version.get())
    }

    /// The state of the server, for the client.
    pub fn state(&self) -> State {
        let state = self.state.get();
        [State::Live, State::Down, State::Disabled].into_iter().find(|&s| s as u64 == state).unwrap_or(State::Live)
    }
}
