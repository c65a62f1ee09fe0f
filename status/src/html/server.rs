//! A server on the page.

use crate::snapshot::{Latency, Named, Sample, Server, Snapshot, State};
use crate::switches::TakenOut;
use crate::{diagnosis, show};

/// A server.
pub struct Row<'a> {
    pub client: usize,
    pub number: usize,
    pub server: &'a Server,
    /// Operations per second that fill the picture of traffic.
    pub most: f64,
    pub snapshot: &'a Snapshot,
}

impl Row<'_> {
    pub fn id(&self) -> String {
        format!("server-{}-{}", self.client, self.number)
    }

    /// What the operator has done to it.
    pub fn operator(&self) -> Option<String> {
        self.server.operator.as_ref().map(TakenOut::text)
    }

    /// A class for the colour, a sign for those who do not see it, and the word.
    pub fn state(&self) -> (&'static str, &'static str, &'static str) {
        match self.server.state {
            State::Live if !diagnosis::is_tried(self.server) => ("new", "○", "not used yet"),
            State::Live => ("good", "●", "live"),
            State::Down => ("bad", "✕", "down"),
            State::Disabled => ("warn", "‖", "disabled"),
        }
    }

    /// The time, or the day if that is another than today.
    pub fn since(&self) -> String {
        let clock = show::clock(self.server.since, self.snapshot.now, self.snapshot.utc_offset);
        clock.split(' ').next().unwrap_or_default().into()
    }

    pub fn is_of_today(&self) -> bool {
        !show::clock(self.server.since, self.snapshot.now, self.snapshot.utc_offset).contains(' ')
    }

    pub fn since_moment(&self) -> String {
        show::moment(self.server.since)
    }

    pub fn age(&self) -> String {
        show::age(self.server.since, self.snapshot.now)
    }

    pub fn rate(&self) -> Option<String> {
        show::rate(&self.server.history).map(show::count)
    }

    pub fn operations(&self) -> String {
        show::count(total(&self.server.operations))
    }

    pub fn traffic(&self) -> (String, String) {
        show::traffic(&self.server.history, self.most)
    }

    pub fn minutes(&self) -> u64 {
        let millis = self.server.history.iter().map(|sample| sample.millis).fold(0, u64::saturating_add);
        millis.div_ceil(60_000)
    }

    pub fn traffic_label(&self) -> String {
        let of = |value: fn(&Sample) -> u64| self.server.history.iter().map(value).fold(0, u64::saturating_add);
        format!(
            "Last {} min: {} operations, {} failed",
            self.minutes(),
            show::count(of(|sample| sample.operations)),
            show::count(of(|sample| sample.errors))
        )
    }

    pub fn hit_ratio(&self) -> Option<String> {
        show::percent(self.server.hits, self.server.hits.saturating_add(self.server.misses))
    }

    pub fn distribution(&self) -> String {
        show::distribution(&self.server.latency)
    }

    pub fn distribution_label(&self) -> String {
        let latency = &self.server.latency;
        format!(
            "Half of the operations took up to {}, 99 % up to {}, the longest {}. A bar for each power of two from \
             32 µs to 4 s, its height the root of its share",
            show::micros(latency.p50_us),
            show::micros(latency.p99_us),
            show::micros(latency.max_us)
        )
    }

    pub fn workers(&self) -> u64 {
        self.snapshot.workers.len().max(1) as u64
    }

    pub fn may_have(&self) -> u64 {
        u64::from(self.server.pool.max).saturating_mul(self.workers())
    }

    pub fn errors(&self) -> String {
        show::count(total(&self.server.errors))
    }

    pub fn failed(&self) -> Vec<(String, String)> {
        present(&self.server.errors)
    }

    pub fn limits(&self) -> Vec<(String, String)> {
        present(&self.server.limits)
    }

    pub fn kinds(&self) -> Vec<(String, String)> {
        present(&self.server.operations)
    }

    pub fn last_error(&self) -> Option<(String, String)> {
        let error = self.server.last_error.as_ref()?;
        Some((error.text.clone(), show::age(error.at, self.snapshot.now)))
    }

    pub fn hint(&self) -> &str {
        self.server.last_error.as_ref().map_or("", |error| error.hint)
    }

    pub fn last_error_clock(&self) -> String {
        let Some(error) = &self.server.last_error else { return String::new() };
        let (now, offset) = (self.snapshot.now, self.snapshot.utc_offset);
        format!("{} {}", show::clock(error.at, now, offset), show::zone(offset))
    }

    pub fn latencies(&self) -> impl Iterator<Item = (String, &Latency)> {
        let kinds = self.server.latency_by_kind.iter().map(|(kind, latency)| (words(kind), latency));
        kinds.chain([("queue".to_string(), &self.server.queue_time)]).filter(|(_, latency)| latency.count > 0)
    }

    pub fn pid(&self, slot: &usize) -> String {
        let worker = self.snapshot.workers.iter().find(|worker| worker.slot == *slot);
        worker.map_or("–".into(), |worker| worker.pid.to_string())
    }
}

fn total(counters: &Named<u64>) -> u64 {
    counters.iter().map(|(_, value)| *value).fold(0, u64::saturating_add)
}

/// The counters that are not 0, with their names as words.
fn present(counters: &Named<u64>) -> Vec<(String, String)> {
    counters.iter().filter(|(_, value)| *value > 0).map(|(name, value)| (words(name), show::count(*value))).collect()
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}
