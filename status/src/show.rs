//! Numbers, times and pictures for people.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use crate::snapshot::{Latency, Millis, Module, Sample, Server};
use crate::switches::TakenOut;

/// `1,234`, `12.3M`.
pub fn count(n: u64) -> String {
    match n {
        0..1_000_000 => grouped(n),
        1_000_000..1_000_000_000 => format!("{}M", three_digits(ratio(n, 1_000_000))),
        _ => format!("{}G", three_digits(ratio(n, 1_000_000_000))),
    }
}

/// So many of these: `1 operation`, `2 operations`.
pub fn number_of(n: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A module, and what it has asked for.
pub fn module(module: &Module) -> String {
    let Module { name, operations, errors, queued } = module;
    let name = if name == "-" { "without a name" } else { name };
    format!(
        "{name}: {}, {}, {} waiting",
        number_of(*operations, "operation"),
        number_of(*errors, "error"),
        count(*queued)
    )
}

fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(8);
    for (left, digit) in (0..digits.len()).rev().zip(digits.chars()) {
        text.push(digit);
        if left > 0 && left % 3 == 0 {
            text.push(',');
        }
    }
    text
}

/// `231 µs`, `1.24 ms`.
pub fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", three_digits(ratio(us, 1_000))),
        _ => format!("{} s", three_digits(ratio(us, 1_000_000))),
    }
}

/// `200ms`, `5s`: as in the configuration.
pub fn setting(millis: u64) -> String {
    match millis.checked_rem(1000) {
        Some(0) => format!("{}s", millis / 1000),
        _ => format!("{millis}ms"),
    }
}

/// `12.3 MiB`
pub fn bytes(n: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.into_iter().find(|&(_, unit)| n >= unit) {
        Some((name, unit)) => format!("{} {name}", three_digits(ratio(n, unit))),
        None => format!("{n} B"),
    }
}

/// `4 s`, `3 min`, `2 h 5 min`, `3 d`
pub fn age(from: Millis, now: Millis) -> String {
    let seconds = now.saturating_sub(from) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => match (seconds / 3_600, seconds % 3_600 / 60) {
            (hours, 0) => format!("{hours} h"),
            (hours, minutes) => format!("{hours} h {minutes} min"),
        },
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `2026-11-24T02:13:05Z`
pub fn moment(at: Millis) -> String {
    // Years after 9999 have no such form.
    const END: Millis = 253_402_300_799_000;
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(at.min(END)));
    humantime::format_rfc3339_seconds(time.unwrap_or(SystemTime::UNIX_EPOCH)).to_string()
}

/// What a server is that is out of use.
pub fn out_of_use(server: &Server) -> String {
    server.operator.as_ref().map_or("out of use".into(), TakenOut::text)
}

/// `02:13:05`, with the date if that is another day than today, in the time zone that is so many minutes ahead of UTC.
pub fn clock(at: Millis, now: Millis, utc_offset: i32) -> String {
    let local = |at: Millis| moment(at.saturating_add_signed(i64::from(utc_offset).saturating_mul(60_000)));
    let (then, today) = (local(at), local(now));
    let (date, time) = (then.get(..10).unwrap_or_default(), then.get(11..19).unwrap_or_default());
    if today.starts_with(date) {
        time.into()
    } else {
        format!("{date} {time}")
    }
}

/// `UTC`, `UTC+1`, `UTC-3:30`
pub fn zone(utc_offset: i32) -> String {
    let sign = if utc_offset < 0 { '-' } else { '+' };
    let minutes = utc_offset.unsigned_abs();
    match (minutes / 60, minutes % 60) {
        (0, 0) => "UTC".into(),
        (hours, 0) => format!("UTC{sign}{hours}"),
        (hours, minutes) => format!("UTC{sign}{hours}:{minutes:02}"),
    }
}

/// `97.0 %`; `None` if the whole is 0.
pub fn percent(part: u64, whole: u64) -> Option<String> {
    // Nearly all is not shown as all, and nearly none not as none.
    let tenths = 1000.0 * ratio(part, whole);
    let shown = if part == whole { 1000.0 } else { tenths.round().clamp(if part == 0 { 0.0 } else { 1.0 }, 999.0) };
    (whole > 0).then(|| format!("{:.1} %", shown / 10.0))
}

/// Operations per second in the last seconds; `None` if these are not known.
pub fn rate(history: &[Sample]) -> Option<u64> {
    let last = history.get(history.len().saturating_sub(2)..)?;
    let operations: u64 = last.iter().map(|sample| sample.operations).fold(0, u64::saturating_add);
    let millis: u64 = last.iter().map(|sample| sample.millis).fold(0, u64::saturating_add);
    operations.saturating_mul(1000).checked_div(millis)
}

/// A part as a fraction of the whole.
#[allow(clippy::cast_precision_loss)]
pub fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn three_digits(value: f64) -> String {
    let decimals = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.decimals$}")
}

/// The height of both pictures.
const HEIGHT: u32 = 28;
/// The width of [`traffic`]: 60 samples of two pixels.
const TRAFFIC_WIDTH: u32 = 120;

/// Paths of two bar charts: operations over time, and on top of them those that failed. `most`: the operations per
/// second that fill the height.
pub fn traffic(history: &[Sample], most: f64) -> (String, String) {
    let (mut all, mut failed) = (String::new(), String::new());
    let history = history.get(history.len().saturating_sub(60)..).unwrap_or_default();
    let begin = f64::from(TRAFFIC_WIDTH) - 2.0 * ratio(history.len() as u64, 1);
    for (n, sample) in (0u64..).zip(history) {
        let x = begin + 2.0 * ratio(n, 1);
        let height = |operations| per_second(operations, sample.millis) / most.max(1.0) * f64::from(HEIGHT);
        bar(&mut all, x, 1.6, height(sample.operations));
        bar(&mut failed, x, 1.6, height(sample.errors).max(if sample.errors > 0 { 3.0 } else { 0.0 }));
    }
    (all, failed)
}

/// Operations per second.
pub fn per_second(operations: u64, millis: u64) -> f64 {
    1000.0 * ratio(operations, millis)
}

/// The path of a bar chart of how long operations took: a bar for each power of two, from 32 µs to 4 s. Its height is
/// the square root of its share, so that a tail is seen. The width is 108: 18 bars of six pixels.
pub fn distribution(latency: &Latency) -> String {
    const FIRST: u32 = 5;
    let mut bars = [0u64; 18];
    for bucket in &latency.buckets {
        let power = bucket.le_us.checked_ilog2().unwrap_or(0).saturating_sub(FIRST) as usize;
        let last = bars.len().saturating_sub(1);
        if let Some(bar) = bars.get_mut(power.min(last)) {
            *bar = bar.saturating_add(bucket.count);
        }
    }
    let most = bars.into_iter().max().unwrap_or(0);
    let mut path = String::new();
    for (n, count) in (0u64..).zip(bars) {
        let height = ratio(count, most).sqrt() * f64::from(HEIGHT);
        bar(&mut path, 6.0 * ratio(n, 1), 5.0, height.max(if count > 0 { 1.0 } else { 0.0 }));
    }
    path
}

fn bar(path: &mut String, x: f64, width: f64, height: f64) {
    let height = height.min(f64::from(HEIGHT));
    if height > 0.0 {
        let bottom = f64::from(HEIGHT);
        let _ = write!(path, "M{x:.1} {bottom:.1}v-{height:.1}h{width}v{height:.1}z");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use crate::snapshot::Bucket;

    #[test]
    fn numbers() {
        let of = [(0, "0"), (999, "999"), (1_000, "1,000"), (123_456, "123,456"), (1_234_567, "1.23M")];
        of.iter().for_each(|(n, text)| assert_eq!(count(*n), *text));
        assert_eq!(count(999_999), "999,999");
        assert_eq!(count(u64::MAX), "18446744074G");
        let of = [(0, "0 µs"), (999, "999 µs"), (1_240, "1.24 ms"), (99_960, "100 ms"), (1_500_000, "1.50 s")];
        of.iter().for_each(|(n, text)| assert_eq!(micros(*n), *text));
        assert_eq!((bytes(1023), bytes(1024), bytes(5 << 30)), ("1023 B".into(), "1.00 KiB".into(), "5.00 GiB".into()));
        assert_eq!((setting(200), setting(1000), setting(0)), ("200ms".into(), "1s".into(), "0s".into()));
    }

    #[test]
    fn nearly_all_is_not_all() {
        let of = [(0, 0, None), (0, 5, Some("0.0 %")), (5, 5, Some("100.0 %")), (1, 3, Some("33.3 %"))];
        of.iter().for_each(|&(part, whole, text)| assert_eq!(percent(part, whole).as_deref(), text));
        assert_eq!(percent(999_999, 1_000_000).as_deref(), Some("99.9 %"));
        assert_eq!(percent(1, 1_000_000).as_deref(), Some("0.1 %"));
    }

    #[test]
    fn times() {
        let now = samples::NOW;
        assert_eq!(moment(now), "2026-11-24T02:17:09Z");
        assert_eq!(moment(u64::MAX), "9999-12-31T23:59:59Z");
        assert_eq!(clock(now - 244_000, now, 0), "02:13:05");
        assert_eq!(clock(now - 86_400_000, now, 0), "2026-11-23 02:17:09");
        let of = [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3_600, "1 h"), (7_500, "2 h 5 min"), (864_000, "10 d")];
        of.iter().for_each(|(seconds, text)| assert_eq!(age(now - seconds * 1000, now), *text));
        assert_eq!(age(now + 5, now), "0 s", "a clock that was set back");
    }

    #[test]
    fn r55_times_are_those_of_the_log() {
        let now = samples::NOW;
        assert_eq!(clock(now - 244_000, now, 60), "03:13:05");
        assert_eq!(clock(now - 244_000, now, -180), "23:13:05", "the day before, as now");
        assert_eq!(clock(now - 86_400_000, now, -180), "2026-11-22 23:17:09");
        assert_eq!(clock(0, 0, -60), "00:00:00", "before the epoch there is nothing");
        let zones = [(0, "UTC"), (60, "UTC+1"), (-210, "UTC-3:30"), (345, "UTC+5:45"), (-600, "UTC-10")];
        zones.iter().for_each(|&(offset, text)| assert_eq!(zone(offset), text));
    }

    #[test]
    fn rates_are_of_the_last_two_samples() {
        let sample = |operations, millis| Sample { operations, millis, ..Sample::default() };
        assert_eq!(rate(&[]), None);
        assert_eq!(rate(&[sample(5, 0)]), None);
        assert_eq!(rate(&[sample(9_999, 10_000), sample(1_000, 10_000), sample(500, 5_000)]), Some(100));
    }

    #[test]
    fn pictures() {
        let bucket = |le_us, count| Bucket { le_us, count };
        let latency =
            Latency { buckets: vec![bucket(3, 4), bucket(1_023, 1), bucket(u64::MAX, 0)], ..Latency::default() };
        assert_eq!(distribution(&latency), "M0.0 28.0v-28.0h5v28.0zM24.0 28.0v-14.0h5v14.0z");
        assert_eq!(distribution(&Latency::default()), "");
        let sample = |operations, errors| Sample { operations, errors, millis: 1_000, ..Sample::default() };
        let (all, failed) = traffic(&[sample(50, 0), sample(100, 1)], 100.0);
        assert_eq!(all, "M116.0 28.0v-14.0h1.6v14.0zM118.0 28.0v-28.0h1.6v28.0z");
        assert_eq!(failed, "M118.0 28.0v-3.0h1.6v3.0z", "seen, however few there are");
    }
}
