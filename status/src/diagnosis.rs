//! A diagnosis in words: whether the problem is memcached, the network or nginx.

use std::collections::HashMap;

use crate::show;
use crate::snapshot::{Server, Snapshot, State};

/// The severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing is wrong.
    Good,
    /// Something needs attention.
    Warn,
    /// Operations fail.
    Bad,
}

impl Level {
    /// The word in class names.
    pub fn name(self) -> &'static str {
        match self {
            Level::Good => "good",
            Level::Warn => "warn",
            Level::Bad => "bad",
        }
    }
}

/// The headline of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// The severity.
    pub level: Level,
    /// One sentence.
    pub headline: String,
    /// Further sentences, at most [`MAX_LINES`].
    pub lines: Vec<String>,
}

/// How many problems are named; the others are counted.
const MAX_LINES: usize = 6;
/// Events within this time, in milliseconds, count as current.
const RECENTLY: u64 = 60_000;

/// The diagnosis of all servers.
pub fn of(snapshot: &Snapshot) -> Diagnosis {
    let seen = memcacheds(snapshot);
    let servers: Vec<&Server> = seen.iter().map(|seen| seen.server).collect();
    let with = |state| servers.iter().copied().filter(move |server| server.state == state);
    let down: Vec<&Seen<'_>> = seen.iter().filter(|seen| seen.server.state == State::Down).collect();
    let disabled: Vec<&Server> = with(State::Disabled).collect();
    let (tried, untried): (Vec<&Server>, Vec<&Server>) = with(State::Live).partition(|server| is_tried(server));

    let mut lines = Vec::new();
    match down.as_slice() {
        [] => {}
        [one] => lines.extend(hint(one.server)),
        [first, others @ ..] => {
            // What all may have is said once.
            let same = others.iter().all(|seen| hint(seen.server) == hint(first.server));
            lines.extend(hint(first.server).filter(|_| same));
            lines.extend(down.iter().map(|seen| is_down(seen, snapshot)));
        }
    }
    let live = seen.iter().filter(|seen| seen.server.state == State::Live && is_tried(seen.server));
    let waits = live.clone().any(|seen| seen.server.queued > 0);
    let mut troubles: Vec<String> = live.filter_map(|seen| trouble(seen.server, &seen.name(), snapshot)).collect();
    let level = match (down.is_empty(), troubles.is_empty() && disabled.is_empty()) {
        (false, _) => Level::Bad,
        (true, false) => Level::Warn,
        (true, true) => Level::Good,
    };
    let headline = match (down.as_slice(), servers.len()) {
        ([], _) if troubles.len() == 1 => troubles.remove(0),
        ([], all) if troubles.len() > 1 && waits => format!("{} of {all} servers have trouble.", troubles.len()),
        ([], all) if troubles.len() > 1 => {
            format!("{} of {all} servers had errors in the last minute.", troubles.len())
        }
        ([], all) => all_answer(&tried, &untried, all),
        ([one], _) => is_down(one, snapshot),
        (many, all) if many.len() == all => format!("All {all} servers are down."),
        (many, all) => format!("{} of {all} servers are down.", many.len()),
    };
    let out_of_use = |server: &&Server| {
        format!("{} is {} since {}.", server.address, show::out_of_use(server), time(server.since, snapshot))
    };
    lines.extend(troubles);
    lines.extend(disabled.iter().map(out_of_use));
    bound(&mut lines);
    Diagnosis { level, headline, lines }
}

/// A memcached, as one client sees it.
struct Seen<'a> {
    server: &'a Server,
    cluster: &'a str,
    /// How many clients have it.
    clients: usize,
    /// Whether its state differs between them.
    differs: bool,
}

impl Seen<'_> {
    /// Its address, and which cluster's trouble it is, if several have it.
    fn name(&self) -> String {
        match self.clients {
            ..=1 => self.server.address.clone(),
            _ => format!("{} (cluster {})", self.server.address, self.cluster),
        }
    }
}

/// Each memcached once, from the client with the most severe problem.
fn memcacheds(snapshot: &Snapshot) -> Vec<Seen<'_>> {
    let mut all: Vec<Seen<'_>> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    let servers = snapshot.clients.iter().flat_map(|one| one.servers.iter().map(|server| (&one.cluster, server)));
    for (cluster, server) in servers {
        let place = *places.entry(&server.address).or_insert(all.len());
        let Some(seen) = all.get_mut(place) else {
            all.push(Seen { server, cluster, clients: 1, differs: false });
            continue;
        };
        seen.clients = seen.clients.saturating_add(1);
        seen.differs |= server.state != seen.server.state;
        if severity(server, snapshot) < severity(seen.server, snapshot) {
            (seen.server, seen.cluster) = (server, cluster);
        }
    }
    all
}

/// The rank of a server: the most severe first.
pub fn severity(server: &Server, snapshot: &Snapshot) -> u8 {
    match server.state {
        State::Down => 0,
        State::Live if server.queued > 0 => 1,
        State::Live if is_tried(server) && trouble(server, "", snapshot).is_some() => 2,
        State::Disabled => 3,
        State::Live if is_tried(server) => 4,
        State::Live => 5,
    }
}

fn bound(lines: &mut Vec<String>) {
    let more = lines.len().saturating_sub(MAX_LINES.saturating_sub(1));
    if more > 1 {
        lines.truncate(MAX_LINES.saturating_sub(1));
        lines.push(format!("There are {more} more, see below."));
    }
}

/// Whether it is known to answer. A server without a connection so far is unknown.
pub fn is_tried(server: &Server) -> bool {
    server.connections.opened > 0 || server.connections.failed > 0
}

fn all_answer(tried: &[&Server], untried: &[&Server], all: usize) -> String {
    match (tried, untried) {
        ([], []) => "No server is in use.".into(),
        ([], [one]) => format!("Nothing was sent to {} so far.", one.address),
        ([], many) => format!("Nothing was sent to any of {} servers so far.", many.len()),
        ([one], []) => format!("{} answers.", one.address),
        (many, []) if many.len() == all => format!("All {all} servers answer."),
        (many, []) => format!("{} servers answer.", many.len()),
        (some, [_]) => format!("{} of {all} servers answer; nothing was sent to the other one so far.", some.len()),
        (some, others) => {
            format!("{} of {all} servers answer; nothing was sent to the other {} so far.", some.len(), others.len())
        }
    }
}

/// The cluster is named if the server is not down for all.
fn is_down(seen: &Seen<'_>, snapshot: &Snapshot) -> String {
    let server = seen.server;
    let name = if seen.differs { seen.name() } else { server.address.clone() };
    let since = time(server.since, snapshot);
    match &server.last_error {
        Some(error) => format!("{name} is down since {since}: {}.", error.text),
        None => format!("{name} is down since {since}."),
    }
}

/// A possible cause, from the last error.
fn hint(server: &Server) -> Option<String> {
    let hint = server.last_error.as_ref()?.hint;
    let mut chars = hint.chars();
    let first = chars.next()?;
    Some(format!("{}{}.", first.to_uppercase(), chars.as_str()))
}

/// The problem of a server that is live.
fn trouble(server: &Server, name: &str, snapshot: &Snapshot) -> Option<String> {
    let is_recent = |at: u64| at.saturating_add(RECENTLY) > snapshot.now;
    let name = if is_recent(server.since) {
        format!("{name} is live since {}", time(server.since, snapshot))
    } else {
        name.to_owned()
    };
    if server.queued > 0 {
        let wait = if server.queued == 1 { "waits" } else { "wait" };
        let are = if server.connections.open == 1 { "is" } else { "are" };
        return Some(format!(
            "{name}: {} {wait}, as {} {are} not enough; each worker may have max={}.",
            show::number_of(server.queued, "operation"),
            show::number_of(server.connections.open, "connection"),
            server.pool.max
        ));
    }
    let recent = server.history.iter().filter(|sample| is_recent(sample.at.saturating_add(sample.millis)));
    let failed = recent.map(|sample| sample.errors).fold(0, u64::saturating_add);
    // Operations that were refused as busy leave no error of the server.
    let last = server.last_error.as_ref().filter(|last| is_recent(last.at));
    let failed = (failed > 0).then(|| format!("{} failed in the last minute", show::number_of(failed, "operation")));
    match (failed, last) {
        (Some(failed), Some(last)) => Some(format!("{name}: {failed}, the last error: {}.", last.text)),
        (Some(failed), None) => Some(format!("{name}: {failed}.")),
        (None, Some(last)) => Some(format!("{name}: {} at {}.", last.text, time(last.at, snapshot))),
        (None, None) => None,
    }
}

fn time(at: u64, snapshot: &Snapshot) -> String {
    format!("{} {}", show::clock(at, snapshot.now, snapshot.utc_offset), show::zone(snapshot.utc_offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn three() -> Snapshot {
        samples::servers(3)
    }

    fn servers(snapshot: &mut Snapshot) -> &mut Vec<Server> {
        &mut snapshot.clients[0].servers
    }

    #[test]
    fn nothing_is_wrong() {
        let mut snapshot = three();
        let good = |headline: &str| Diagnosis { level: Level::Good, headline: headline.into(), lines: Vec::new() };
        assert_eq!(of(&snapshot), good("All 3 servers answer."));
        servers(&mut snapshot).truncate(1);
        assert_eq!(of(&snapshot), good("10.0.0.1:11211 answers."));
        servers(&mut snapshot).clear();
        assert_eq!(of(&snapshot), good("No server is in use."));
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let mut snapshot = three();
        servers(&mut snapshot)[0].connections = Default::default();
        let text = "2 of 3 servers answer; nothing was sent to the other one so far.";
        assert_eq!(of(&snapshot).headline, text);
        servers(&mut snapshot)[1].connections = Default::default();
        let text = "1 of 3 servers answer; nothing was sent to the other 2 so far.";
        assert_eq!(of(&snapshot).headline, text);
        servers(&mut snapshot).iter_mut().for_each(|server| server.connections = Default::default());
        assert_eq!(of(&snapshot).headline, "Nothing was sent to any of 3 servers so far.");
        servers(&mut snapshot).truncate(1);
        assert_eq!(of(&snapshot).headline, "Nothing was sent to 10.0.0.1:11211 so far.");
    }

    #[test]
    fn down_servers_with_time_and_reason() {
        let mut snapshot = three();
        samples::take_down(&mut servers(&mut snapshot)[1], "refused", "connection refused");
        servers(&mut snapshot)[1].last_error.as_mut().unwrap().hint = "nobody listens there";
        let diagnosis = of(&snapshot);
        assert_eq!(diagnosis.level, Level::Bad);
        assert_eq!(diagnosis.headline, "10.0.0.2:11211 is down since 02:13:05 UTC: connection refused.");
        assert_eq!(diagnosis.lines, ["Nobody listens there."]);
        servers(&mut snapshot)[1].last_error.as_mut().unwrap().hint = "";
        assert!(of(&snapshot).lines.is_empty());

        samples::take_down(&mut servers(&mut snapshot)[0], "connect_timeout", "connecting timed out");
        let diagnosis = of(&snapshot);
        assert_eq!(diagnosis.headline, "2 of 3 servers are down.");
        assert_eq!(diagnosis.lines[0], "10.0.0.1:11211 is down since 02:13:05 UTC: connecting timed out.");
        for server in servers(&mut snapshot) {
            server.last_error.iter_mut().for_each(|error| error.hint = "memcached does not run");
        }
        let diagnosis = of(&snapshot);
        assert_eq!(diagnosis.lines[0], "Memcached does not run.", "what they have in common");
        assert_eq!(diagnosis.lines.len(), 3);

        servers(&mut snapshot).truncate(2);
        assert_eq!(of(&snapshot).headline, "All 2 servers are down.");
    }

    #[test]
    fn r55_one_memcached_is_one() {
        let mut snapshot = three();
        snapshot.clients.push(samples::servers(2).clients.remove(0));
        assert_eq!(of(&snapshot).headline, "All 3 servers answer.");
        samples::take_down(&mut snapshot.clients[1].servers[0], "refused", "connection refused");
        snapshot.clients[1].cluster = "b.example".into();
        let headline = "10.0.0.1:11211 (cluster b.example) is down since 02:13:05 UTC: connection refused.";
        assert_eq!(of(&snapshot).headline, headline, "for one client is enough");
        let mut both = snapshot.clone();
        samples::take_down(&mut both.clients[0].servers[0], "refused", "connection refused");
        let headline = "10.0.0.1:11211 is down since 02:13:05 UTC: connection refused.";
        assert_eq!(of(&both).headline, headline, "for all");
        let mut several = snapshot.clone();
        samples::take_down(&mut several.clients[1].servers[1], "refused", "connection refused");
        let second = of(&several).lines.pop().unwrap();
        assert!(second.starts_with("10.0.0.2:11211 (cluster b.example) is down since"), "{second}");
        let mut troubled = snapshot.clone();
        troubled.clients[1].servers[0] = samples::servers(1).clients[0].servers[0].clone();
        samples::slow_down(&mut troubled.clients[1].servers[0]);
        troubled.clients[1].cluster = "b.example".into();
        let line = of(&troubled).headline;
        assert!(line.starts_with("10.0.0.1:11211 (cluster b.example): 97 operations wait"), "{line}");
        for client in &mut snapshot.clients {
            client.servers.iter_mut().for_each(|s| samples::take_down(s, "refused", "connection refused"));
        }
        assert_eq!(of(&snapshot).headline, "All 3 servers are down.");
        assert_eq!(of(&snapshot).lines.len(), 4, "each once, and what all may have");
    }

    #[test]
    fn r55_the_worst_is_the_first() {
        let mut snapshot = samples::servers(6);
        let servers = servers(&mut snapshot);
        servers[1].connections = Default::default();
        servers[2].state = State::Disabled;
        samples::slow_down(&mut servers[3]);
        samples::slow_down(&mut servers[4]);
        servers[4].queued = 0;
        samples::take_down(&mut servers[5], "refused", "connection refused");
        let gravities: Vec<_> = snapshot.clients[0].servers.iter().map(|s| severity(s, &snapshot)).collect();
        assert_eq!(gravities, [4, 5, 3, 1, 2, 0]);
    }

    #[test]
    fn live_servers_in_trouble() {
        let mut snapshot = three();
        samples::slow_down(&mut servers(&mut snapshot)[0]);
        let diagnosis = of(&snapshot);
        let text = "10.0.0.1:11211: 97 operations wait, as 8 connections are not enough; each worker may have max=8.";
        assert_eq!((diagnosis.level, diagnosis.headline.as_str()), (Level::Warn, text));
        assert!(diagnosis.lines.is_empty(), "it is said");
        samples::slow_down(&mut servers(&mut snapshot)[1]);
        let diagnosis = of(&snapshot);
        assert_eq!(diagnosis.headline, "2 of 3 servers have trouble.");
        assert_eq!(diagnosis.lines[0], text);
        servers(&mut snapshot).iter_mut().for_each(|server| server.queued = 0);
        assert_eq!(of(&snapshot).headline, "2 of 3 servers had errors in the last minute.");
        servers(&mut snapshot).remove(1);

        servers(&mut snapshot)[0].queued = 1;
        servers(&mut snapshot)[0].connections.open = 1;
        let text = "10.0.0.1:11211: 1 operation waits, as 1 connection is not enough; each worker may have max=8.";
        assert_eq!(of(&snapshot).headline, text);
        servers(&mut snapshot)[0].queued = 0;
        let line = &of(&snapshot).headline;
        assert!(line.contains(" operations failed in the last minute, the last error: timed out."), "{line}");

        let last = servers(&mut snapshot)[0].last_error.take();
        let line = &of(&snapshot).headline;
        assert!(line.ends_with(" operations failed in the last minute."), "refused here, as busy: {line}");
        let mut old = last.clone();
        old.iter_mut().for_each(|error| error.at -= RECENTLY);
        servers(&mut snapshot)[0].last_error = old;
        let line = &of(&snapshot).headline;
        assert!(line.ends_with(" operations failed in the last minute."), "an old error is not why: {line}");
        servers(&mut snapshot)[0].last_error = last;

        servers(&mut snapshot)[0].history.clear();
        assert_eq!(of(&snapshot).headline, "10.0.0.1:11211: timed out at 02:17:07 UTC.");

        servers(&mut snapshot)[0].since = samples::NOW - 1_000;
        let text = "10.0.0.1:11211 is live since 02:17:08 UTC: timed out at 02:17:07 UTC.";
        assert_eq!(of(&snapshot).headline, text);

        snapshot.now += RECENTLY;
        assert_eq!(of(&snapshot).level, Level::Good, "long ago");
    }

    #[test]
    fn out_of_use() {
        let mut snapshot = three();
        servers(&mut snapshot)[2].state = State::Disabled;
        let diagnosis = of(&snapshot);
        assert_eq!((diagnosis.level, diagnosis.headline.as_str()), (Level::Warn, "2 servers answer."));
        assert_eq!(diagnosis.lines.len(), 1);
    }

    #[test]
    fn what_is_said_is_bounded() {
        let mut snapshot = samples::servers(50);
        servers(&mut snapshot).iter_mut().for_each(|s| samples::take_down(s, "refused", "connection refused"));
        let diagnosis = of(&snapshot);
        assert_eq!(diagnosis.lines.len(), MAX_LINES);
        assert_eq!(diagnosis.lines[5], "There are 46 more, see below.");
    }
}
