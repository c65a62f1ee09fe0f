//! The health of a server: failures, the down state, and the time of the next connect.

use std::time::Duration;

use crate::limits::MAX_PROBE_PAUSE;
use crate::shared::{Finding, State, Switch};
use crate::time::Instant;

/// The pause between probes doubles this many times at most.
const MAX_DOUBLINGS: u32 = 6;
/// The pause after the first failed connect to a server that is still live.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);
/// It doubles this many times at most, so that it stays below the timeout of operations.
const MAX_CONNECT_DOUBLINGS: u32 = 3;
/// After this time live and without trouble, pauses start short again, whether or not the server was asked anything. A
/// server that comes and goes faster is tried less and less often.
const STABLE: Duration = Duration::from_secs(30);

/// When a server counts as down, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// `memcache_max_fails`
    pub max_fails: u32,
    /// `memcache_retry`
    pub retry: Duration,
    /// In 0..1, drawn anew each time, so that workers and hosts do not reconnect all at once.
    pub jitter: f64,
}

/// A server's failures, and the time of the next try.
#[derive(Debug)]
pub(crate) struct Health {
    state: State,
    since: Instant,
    /// Failures since the last success.
    fails: u32,
    /// Failed connects while it was live, since it was stable.
    failed_connects: u32,
    /// Times that it went down, or a probe failed, since it was stable.
    times_down: u32,
    /// The time of the last of these two.
    troubled_at: Instant,
    /// No connect before this.
    retry_at: Instant,
    /// Whether it is disabled, in any state.
    disabled: bool,
    /// Whether it has left the client's list, in any state. It counts as disabled.
    away: bool,
    /// What the operator wants, in any state. It counts as disabled unless that is [`Switch::Up`].
    switch: Switch,
}

impl Health {
    pub fn new(now: Instant) -> Self {
        Health {
            state: State::Live,
            since: now,
            fails: 0,
            failed_connects: 0,
            times_down: 0,
            troubled_at: now,
            retry_at: now,
            disabled: false,
            away: false,
            switch: Switch::Up,
        }
    }

    pub fn state(&self) -> State {
        if self.disabled || self.away || self.switch != Switch::Up {
            State::Disabled
        } else {
            self.state
        }
    }

    /// Disables the server, or enables it with the health that it had. True if that is a change.
    pub fn set_disabled(&mut self, disabled: bool, now: Instant) -> bool {
        if self.disabled == disabled {
            return false;
        }
        self.disabled = disabled;
        self.since = now;
        true
    }

    /// What the operator wants has changed. The health stays as it was.
    pub fn set_switch(&mut self, switch: Switch, now: Instant) {
        self.switch = switch;
        self.since = now;
    }

    /// What the operator wants.
    pub fn switch(&self) -> Switch {
        self.switch
    }

    /// Whether what it has accepted is sent. That is so while it is live, and while the operator drains it.
    pub fn sends(&self) -> bool {
        self.state == State::Live && !self.disabled && !self.away && self.switch != Switch::Down
    }

    /// A connect is allowed at once.
    pub fn retry_at_once(&mut self, now: Instant) {
        self.retry_at = now;
    }

    /// The server leaves the client's list, or returns with the health that it had.
    pub fn set_away(&mut self, away: bool) {
        self.away = away;
    }

    /// Whether it has left the client's list.
    pub fn is_away(&self) -> bool {
        self.away
    }

    /// Whether it is down or disabled.
    pub fn is_down(&self) -> bool {
        self.state == State::Down
    }

    /// The details of a server that is down, for other clients.
    pub fn finding(&self) -> Finding {
        Finding { since: self.since, retry_at: self.retry_at, times_down: self.times_down }
    }

    /// Another client has found the server down.
    pub fn adopt(&mut self, finding: Finding, now: Instant) {
        self.state = State::Down;
        self.since = finding.since.min(now);
        self.troubled_at = now;
        self.put_off(finding);
    }

    /// Another client has set the time of the next probe.
    pub fn put_off(&mut self, finding: Finding) {
        self.retry_at = finding.retry_at;
        self.times_down = finding.times_down;
    }

    /// The time of the last change of state.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// No connect before this.
    pub fn retry_at(&self) -> Instant {
        self.retry_at
    }

    /// The server answered an operation. `proven`: the connection has answered for a while. True if the server was
    /// down.
    ///
    /// A reply on a new connection does not reset the failures: otherwise a server that closes the connection after
    /// each reply would never be down.
    pub fn success(&mut self, proven: bool, policy: Policy, now: Instant) -> bool {
        let was_down = self.enter_live(policy, now);
        if proven {
            self.fails = 0;
        }
        self.note_stability(now);
        was_down
    }

    /// Only time counts: a server that was asked nothing is as stable as one that has answered.
    fn note_stability(&mut self, now: Instant) {
        if self.state == State::Live && now.since(self.troubled_at.max(self.since)) >= STABLE {
            self.failed_connects = 0;
            self.times_down = 0;
        }
    }

    /// A connect succeeded, with its greeting. True if the server was down. It is on probation now.
    pub fn connected(&mut self, policy: Policy, now: Instant) -> bool {
        self.enter_live(policy, now)
    }

    /// A server that was down is on probation until the first success that counts: one failure brings it down again,
    /// for longer than before.
    fn enter_live(&mut self, policy: Policy, now: Instant) -> bool {
        if self.state == State::Live {
            return false;
        }
        self.state = State::Live;
        self.since = now;
        self.retry_at = now;
        self.failed_connects = 0;
        self.fails = policy.max_fails.saturating_sub(1);
        true
    }

    /// A connect failed, or its connection ended too early. The next one waits, longer each time.
    pub fn back_off(&mut self, policy: Policy, now: Instant) {
        self.note_stability(now);
        let pause = match self.state {
            State::Live => {
                let pause = doubled(CONNECT_PAUSE, self.failed_connects.min(MAX_CONNECT_DOUBLINGS));
                self.failed_connects = self.failed_connects.saturating_add(1);
                pause
            }
            State::Down | State::Disabled => {
                let pause =
                    doubled(policy.retry, self.times_down.min(MAX_DOUBLINGS)).min(MAX_PROBE_PAUSE.max(policy.retry));
                self.times_down = self.times_down.saturating_add(1);
                pause
            }
        };
        // At most a quarter more.
        let pause = pause.saturating_add(pause.mul_f64(policy.jitter.clamp(0.0, 1.0) / 4.0));
        self.troubled_at = now;
        self.retry_at = now.after(pause);
    }

    /// Counts `weight` failures. True if the server is down from now on. The next connect waits then.
    pub fn failure(&mut self, weight: u32, policy: Policy, now: Instant) -> bool {
        self.fails = self.fails.saturating_add(weight);
        if self.state == State::Down || self.fails < policy.max_fails {
            return false;
        }
        self.note_stability(now);
        self.state = State::Down;
        self.since = now;
        self.back_off(policy, now);
        true
    }
}

fn doubled(pause: Duration, times: u32) -> Duration {
    pause.saturating_mul(1u32.checked_shl(times).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { max_fails: 3, retry: Duration::from_secs(5), jitter: 0.0 };

    fn at(millis: u64) -> Instant {
        Instant::from_micros(0).after(Duration::from_millis(millis))
    }

    #[test]
    fn goes_down_after_consecutive_failures_only() {
        let mut health = Health::new(at(0));
        assert!(!health.failure(1, POLICY, at(1)));
        assert!(!health.failure(1, POLICY, at(2)));
        assert!(!health.success(true, POLICY, at(3)));
        assert!(!health.failure(1, POLICY, at(4)));
        assert!(!health.failure(1, POLICY, at(5)));
        assert!(health.failure(1, POLICY, at(6)));
        assert_eq!((health.state(), health.since()), (State::Down, at(6)));
        assert_eq!(health.retry_at(), at(5_006));
        assert!(!health.failure(1, POLICY, at(7)), "said once");
        assert_eq!(health.retry_at(), at(5_006), "and put off once");
        assert!(health.connected(POLICY, at(8)));
        assert_eq!((health.state(), health.since()), (State::Live, at(8)));
    }

    #[test]
    fn is_on_probation_until_a_success_that_counts() {
        let mut health = Health::new(at(0));
        health.failure(9, POLICY, at(0));
        health.connected(POLICY, at(5_000));
        assert!(health.failure(1, POLICY, at(5_001)), "once more is enough");
        assert_eq!(health.retry_at(), at(15_001), "and the pause grows");
        health.connected(POLICY, at(15_001));
        health.success(false, POLICY, at(15_002));
        assert!(health.failure(1, POLICY, at(15_003)), "a reply on a new connection does not end it");
        health.connected(POLICY, at(40_000));
        health.success(true, POLICY, at(40_001));
        assert!(!health.failure(1, POLICY, at(40_002)));
        assert!(!health.failure(1, POLICY, at(40_003)));
    }

    #[test]
    fn a_late_reply_brings_it_back_on_probation() {
        let mut health = Health::new(at(0));
        health.failure(9, POLICY, at(0));
        assert!(health.success(false, POLICY, at(1)));
        assert_eq!((health.state(), health.retry_at()), (State::Live, at(1)));
        assert!(health.failure(1, POLICY, at(2)));
    }

    #[test]
    fn a_refused_connect_counts_as_all() {
        assert!(Health::new(at(0)).failure(u32::MAX, Policy { max_fails: 1_000_000, ..POLICY }, at(1)));
    }

    #[test]
    fn pauses_grow_to_a_bound_with_jitter() {
        let mut health = Health::new(at(0));
        health.failure(9, POLICY, at(0));
        let mut pauses = vec![health.retry_at().as_micros() / 1_000_000];
        for _ in 0..7 {
            health.back_off(POLICY, at(0));
            pauses.push(health.retry_at().as_micros() / 1_000_000);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60, 60, 60]);
        health.back_off(Policy { jitter: 1.0, ..POLICY }, at(0));
        assert_eq!(health.retry_at(), at(75_000));
        let mut health = Health::new(at(0));
        health.failure(9, Policy { retry: Duration::from_secs(300), ..POLICY }, at(0));
        assert_eq!(health.retry_at(), at(300_000), "a longer retry is kept");
    }

    #[test]
    fn connects_to_a_live_server_are_held_back_for_half_a_second_at_most() {
        let mut health = Health::new(at(0));
        let mut pauses = Vec::new();
        for _ in 0..7 {
            health.back_off(POLICY, at(0));
            pauses.push(health.retry_at().as_micros() / 1_000);
        }
        assert_eq!(pauses, [50, 100, 200, 400, 400, 400, 400]);
        health.failure(9, POLICY, at(0));
        assert_eq!(health.retry_at(), at(5_000), "which does not count when it goes down");
    }

    /// Row F39: a server that comes and goes is tried less often, until it has been stable.
    #[test]
    fn f39_pauses_start_short_again_when_it_was_stable() {
        let mut health = Health::new(at(0));
        let mut now = 0;
        for pause in [5_000, 10_000, 20_000, 40_000, 60_000, 60_000] {
            assert!(health.failure(9, POLICY, at(now)));
            assert_eq!(health.retry_at(), at(now + pause));
            now += pause;
            health.connected(POLICY, at(now));
            health.success(true, POLICY, at(now));
            now += 29_999;
            health.success(true, POLICY, at(now));
        }
        now += 1;
        health.success(true, POLICY, at(now));
        assert!(health.failure(9, POLICY, at(now)));
        assert_eq!(health.retry_at(), at(now + 5_000));
    }

    /// Only time counts, and not the number of answers.
    #[test]
    fn f39_pauses_start_short_again_without_an_operation_in_between() {
        let mut health = Health::new(at(0));
        assert!(health.failure(9, POLICY, at(0)));
        health.connected(POLICY, at(5_000));
        assert!(health.failure(1, POLICY, at(34_999)));
        assert_eq!(health.retry_at(), at(44_999), "one millisecond too early");
        health.connected(POLICY, at(45_000));
        assert!(health.failure(1, POLICY, at(75_000)));
        assert_eq!(health.retry_at(), at(80_000));

        health.connected(POLICY, at(80_000));
        health.back_off(POLICY, at(110_000));
        assert_eq!(health.retry_at(), at(110_050), "a connect that failed is trouble too");
        assert!(health.failure(1, POLICY, at(110_001)));
        assert_eq!(health.retry_at(), at(115_001));
        for pause in [10_000, 20_000, 40_000, 60_000] {
            health.back_off(POLICY, at(200_000));
            assert_eq!(health.retry_at(), at(200_000 + pause), "one that stays down is not live");
        }
    }
}
