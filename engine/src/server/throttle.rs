//! A limit on the rate of an event.

use std::time::Duration;

use crate::limits::{CONNECT_BURST, CONNECT_RATE};
use crate::time::Instant;

/// A token bucket for connects: [`CONNECT_BURST`] at once, and then [`CONNECT_RATE`] a second.
///
/// It keeps the moment at which the bucket would be full again (the generic cell rate algorithm), so it needs no timer.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    full_at: Instant,
}

/// The time per token.
const EVERY: Duration = Duration::from_micros(1_000_000 / CONNECT_RATE as u64);

impl Throttle {
    /// Takes a token. `Err`: the moment of the next one.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        // The time of the tokens taken so far. One more has to fit.
        let slack = EVERY.saturating_mul(CONNECT_BURST.saturating_sub(1));
        let taken = self.full_at.since(now);
        if let Some(wait) = taken.checked_sub(slack).filter(|wait| !wait.is_zero()) {
            return Err(now.after(wait));
        }
        self.full_at = self.full_at.max(now).after(EVERY);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_a_rate() {
        let mut throttle = Throttle::default();
        let mut now = Instant::from_micros(5_000_000);
        for n in 0..CONNECT_BURST {
            assert_eq!(throttle.take(now), Ok(()), "number {n}");
        }
        for _ in 0..100 {
            let at = throttle.take(now).unwrap_err();
            assert_eq!(at.since(now), EVERY);
            assert!(throttle.take(Instant::from_micros(at.as_micros().wrapping_sub(1))).is_err(), "not earlier");
            now = at;
            assert_eq!(throttle.take(now), Ok(()));
        }
        now = now.after(EVERY.saturating_mul(CONNECT_BURST));
        let burst = std::iter::repeat_with(|| throttle.take(now)).take_while(Result::is_ok).count();
        assert_eq!(burst, CONNECT_BURST as usize, "full again, and no more than full");
    }
}
