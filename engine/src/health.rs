//! Whether a server is worth a try.

use std::time::Duration;

use crate::time::Instant;

/// What is known of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Operations are sent.
    Live,
    /// Operations fail at once; a timer probes.
    Down,
}

impl State {
    /// The word in logs and diagnostics.
    pub fn name(self) -> &'static str {
        match self {
            State::Live => "live",
            State::Down => "down",
        }
    }
}

/// The pause between two probes never grows beyond this, unless `memcache_retry` is longer.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// The pause after a first connect that failed while the server is still thought to be live.
const HOLD: Duration = Duration::from_millis(50);
/// A pause doubles so many times at most.
const MAX_DOUBLINGS: u32 = 6;

/// A server's failures, and when it may be tried again.
#[derive(Debug)]
pub(crate) struct Health {
    state: State,
    since: Instant,
    /// Failures since the last success.
    fails: u32,
    /// Connects that failed since the last reply.
    refusals: u32,
    /// No connect before this.
    retry_at: Instant,
}

impl Health {
    pub fn new(now: Instant) -> Self {
        Health { state: State::Live, since: now, fails: 0, refusals: 0, retry_at: now }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// When the state was entered.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// No connect before this.
    pub fn retry_at(&self) -> Instant {
        self.retry_at
    }

    /// The server answered. True if it was down.
    pub fn success(&mut self, now: Instant) -> bool {
        self.fails = 0;
        self.refusals = 0;
        if self.state == State::Live {
            return false;
        }
        self.state = State::Live;
        self.since = now;
        self.retry_at = now;
        true
    }

    /// A connect succeeded, handshake included. True if the server was down: now it is on probation, and one failure
    /// before its first reply brings it down again, for longer than the last time.
    pub fn connected(&mut self, max_fails: u32, now: Instant) -> bool {
        if self.state == State::Live {
            return false;
        }
        self.retry_at = now;
        self.state = State::Live;
        self.since = now;
        self.fails = max_fails.saturating_sub(1);
        true
    }

    /// A connect failed: the next one waits, longer each time. `jitter` is in 0..1.
    pub fn hold(&mut self, retry: Duration, jitter: f64, now: Instant) {
        let pause = match self.state {
            State::Live => HOLD,
            State::Down => retry,
        };
        let doublings = self.refusals.min(MAX_DOUBLINGS);
        let pause = pause.saturating_mul(1u32.checked_shl(doublings).unwrap_or(1)).min(MAX_PAUSE.max(pause));
        // A quarter more at most: the workers of a host, and the hosts of a site, do not come back all at once.
        let pause = pause.saturating_add(pause.mul_f64(jitter.clamp(0.0, 1.0) / 4.0));
        self.refusals = self.refusals.saturating_add(1);
        self.retry_at = now.after(pause);
    }

    /// Something went wrong; `weight` failures at once. True if the server is down from now on.
    pub fn failure(&mut self, weight: u32, max_fails: u32, now: Instant) -> bool {
        self.fails = self.fails.saturating_add(weight);
        if self.state == State::Down || self.fails < max_fails {
            return false;
        }
        self.state = State::Down;
        self.since = now;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Duration = Duration::from_secs(5);

    fn at(millis: u64) -> Instant {
        Instant::from_micros(0).after(Duration::from_millis(millis))
    }

    #[test]
    fn goes_down_after_consecutive_failures_only() {
        let mut health = Health::new(at(0));
        assert!(!health.failure(1, 3, at(1)));
        assert!(!health.failure(1, 3, at(2)));
        assert!(!health.success(at(3)));
        assert!(!health.failure(1, 3, at(4)));
        assert!(!health.failure(1, 3, at(5)));
        assert!(health.failure(1, 3, at(6)));
        assert_eq!((health.state(), health.since()), (State::Down, at(6)));
        assert!(!health.failure(1, 3, at(7)), "said once");
        assert!(health.connected(3, at(8)));
        assert_eq!((health.state(), health.since()), (State::Live, at(8)));
    }

    #[test]
    fn is_on_probation_until_its_first_reply() {
        let mut health = Health::new(at(0));
        health.failure(9, 3, at(0));
        health.hold(RETRY, 0.0, at(0));
        health.connected(3, at(5_000));
        assert!(health.failure(1, 3, at(5_001)), "once more is enough");
        health.hold(RETRY, 0.0, at(5_001));
        assert_eq!(health.retry_at(), at(15_001), "and the pause grows");
        health.connected(3, at(15_001));
        health.success(at(15_002));
        assert!(!health.failure(1, 3, at(15_003)));
        assert!(!health.failure(1, 3, at(15_004)));
    }

    #[test]
    fn a_refused_connect_counts_as_all() {
        assert!(Health::new(at(0)).failure(u32::MAX, 1_000_000, at(1)));
    }

    #[test]
    fn pauses_grow_to_a_bound_with_jitter() {
        let mut health = Health::new(at(0));
        health.failure(9, 3, at(0));
        let mut pauses = Vec::new();
        for _ in 0..8 {
            health.hold(RETRY, 0.0, at(0));
            pauses.push(health.retry_at().as_micros() / 1_000_000);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60, 60, 60]);
        health.hold(RETRY, 1.0, at(0));
        assert_eq!(health.retry_at(), at(75_000));
        health.success(at(0));
        health.failure(9, 3, at(0));
        health.hold(Duration::from_secs(300), 0.0, at(0));
        assert_eq!(health.retry_at(), at(300_000), "a longer retry is kept");
    }
}
