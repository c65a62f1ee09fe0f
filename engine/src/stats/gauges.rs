//! What there is now.

use crate::metrics::counter::Counter;
use crate::protocol::version::Version;
use crate::shared::State;

/// What a client has of a server now, as others see it: renewed by [`Client::publish`](crate::Client::publish).
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
    /// The [`Version`] that the server has said it is, as a number; 0: none of memcached's.
    version: Counter,
}

impl Gauges {
    /// `now`: how many are open, connecting, busy, pending, queued.
    pub(crate) fn publish(&self, state: State, now: [usize; 5]) {
        self.state.set(state as u64);
        let gauges = [&self.open, &self.connecting, &self.busy, &self.pending, &self.queued];
        gauges.into_iter().zip(now).for_each(|(gauge, now)| gauge.set(now as u64));
    }

    /// There is no client any more.
    pub fn clear(&self) {
        let gauges =
            [&self.state, &self.open, &self.connecting, &self.busy, &self.pending, &self.queued, &self.version];
        gauges.into_iter().for_each(|gauge| gauge.set(0));
    }

    pub(crate) fn set_version(&self, version: Option<Version>) {
        self.version.set(version.map_or(0, Version::to_u64));
    }

    /// The version that the server has said it is, if it is one of memcached's.
    pub fn version(&self) -> Option<Version> {
        Version::from_u64(self.version.get())
    }

    /// What the client thinks of the server.
    pub fn state(&self) -> State {
        let state = self.state.get();
        [State::Live, State::Down, State::Disabled].into_iter().find(|&s| s as u64 == state).unwrap_or(State::Live)
    }
}
