//! What the client will make of what was said, where that is known.

use memcache_engine::{Answer, Cause, Error, Event, Output};

use super::World;
use crate::peer::Says;

/// What the client will make of it.
#[derive(Debug, Default)]
pub struct Forecast {
    /// Operations, if it is known which, and their answers.
    answers: Vec<(Option<u64>, Answer)>,
    /// That is all.
    known: bool,
    /// Why the connection ends then, and which operation is told.
    ends: Option<(Cause, Option<u64>)>,
}

impl World {
    fn waits(&self, key: &[u8]) -> Option<u64> {
        self.numbers.get(key).copied().filter(|&n| self.calls[n as usize].is_some())
    }

    pub fn forecast(&self, means: &[Says]) -> Forecast {
        let mut forecast = Forecast { known: true, ..Forecast::default() };
        for says in means {
            match says {
                Says::Nothing => continue,
                Says::Answer(key, answer) | Says::Last(key, answer) => {
                    if key.is_empty() && self.lost_count {
                        forecast.known = false;
                    } else if key.is_empty() {
                        forecast.answers.push((None, answer.clone()));
                    } else if let Some(number) = self.waits(key) {
                        forecast.answers.push((Some(number), answer.clone()));
                    }
                    if matches!(says, Says::Last(..)) {
                        forecast.ends = Some((Cause::Refused, None));
                    }
                }
                Says::Nonsense(key) => forecast.ends = Some((Cause::Protocol, self.waits(key))),
                Says::Stolen(key) => {
                    let victim = self.waits(key);
                    forecast.ends = victim.map(|_| (Cause::Protocol, victim));
                }
                Says::Anything => forecast.known = false,
            }
            if !forecast.known || forecast.ends.is_some() {
                break;
            }
        }
        forecast
    }

    pub fn compare(&self, forecast: Forecast, done: &[(u64, Answer)], outputs: &[Output], closed: bool) {
        let Forecast { answers, known, ends } = forecast;
        assert!(done.len() >= answers.len(), "{answers:?} was said, {done:?} was understood");
        for ((number, answer), (asked, said)) in done.iter().zip(&answers) {
            assert_eq!(answer, said, "operation {number}");
            assert!(asked.is_none_or(|asked| asked == *number), "{number} has the answer of {asked:?}");
        }
        if let Some((cause, victim)) = ends {
            let is = |c: &Cause| *c == cause || cause == Cause::Protocol && *c == Cause::EncodedKey;
            let lost =
                |output: &Output| matches!(output, Output::Event(Event::ConnectionLost { cause, .. }) if is(cause));
            assert!(closed && outputs.iter().any(lost), "{cause:?} is expected: {outputs:?}");
            if let Some(victim) = victim {
                let told = |(number, answer): &(u64, Answer)| {
                    *number == victim && matches!(answer, Err(Error::Protocol { .. }))
                };
                assert!(done.iter().any(told), "{victim} is not told: {done:?}");
            }
        } else if known {
            assert_eq!(done.len(), answers.len(), "{done:?} was understood");
            assert!(!closed, "nothing was wrong: {outputs:?}");
        }
    }
}
