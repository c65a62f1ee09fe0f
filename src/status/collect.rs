//! Collects the status from the clients of this worker and from the zone.

#![forbid(unsafe_code)]

use std::mem;
use std::time::Duration;

use memcache_engine::metrics::histogram::Distribution;
use memcache_engine::metrics::history::{Sample as Span, SPAN};
use memcache_engine::stats::{history, Counters, Fault, Kind, Stats};
use memcache_engine::{Client, Failover, ModuleView, Protocol, ServerId, ServerView, State, Subset, Switch, Version};
use memcache_status::names;
use memcache_status::snapshot::{
    self, Bucket, Bytes, Connections, LastError, Latency, Millis, Pool, Sample, Scope, ServerInWorker, Snapshot,
    Worker, SCHEMA,
};
use memcache_status::switches::TakenOut;
use nginx_sys::NGINX_VERSION;

use crate::abi::callback::Callback;
use crate::abi::retained::retained;
use crate::abi::sys::{NGX_HTTP_MEMCACHE_ABI_MAJOR, NGX_HTTP_MEMCACHE_ABI_MINOR};
use crate::driver::Driver;
use crate::nginx::clock::{self, Calendar};
use crate::worker::cluster::Cluster;
use crate::worker::clusters::Clusters;
use crate::worker::record::{client_text, Record};

/// The part of the status that was collected so far: clients of this worker, or of all workers, and the route of a key.
pub struct Collect {
    calendar: Calendar,
    key: Option<Vec<u8>>,
    snapshot: Snapshot,
    /// The next server: the number of its cluster, and its place in that one's list.
    cluster: usize,
    place: usize,
    /// The version of the list.
    version: u64,
}

impl Collect {
    /// Nothing yet. `None`: there is no memory.
    pub fn new(clusters: &Clusters, worker: Worker, key: Option<Vec<u8>>) -> Option<Collect> {
        let calendar = Calendar::new();
        let zone = clusters.zone.as_ref().and_then(|zone| zone.workers());
        let scope = if zone.is_some() { Scope::Zone } else { Scope::Worker };
        let pid = worker.pid;
        let (workers, generation) = zone.unwrap_or_else(|| (vec![worker.clone()], worker.generation));
        let mut clients = Vec::new();
        clients.try_reserve_exact(clusters.list.len()).ok()?;
        let mut routes = Vec::new();
        routes.try_reserve_exact(key.as_ref().map_or(0, |_| clusters.list.len())).ok()?;
        let (bytes, refused) = retained();
        let snapshot = Snapshot {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            abi: format!("{NGX_HTTP_MEMCACHE_ABI_MAJOR}.{NGX_HTTP_MEMCACHE_ABI_MINOR}"),
            nginx: text(NGINX_VERSION.to_bytes()),
            now: calendar.millis(calendar.now()),
            utc_offset: clock::utc_offset(),
            scope,
            pid,
            generation,
            retained: snapshot::Retained { bytes, max: clusters.max_retained(), refused },
            clients,
            routes,
            workers,
        };
        Some(Collect { calendar, key, snapshot, cluster: 0, place: 0, version: 0 })
    }

    /// Adds the next server. Returns whether there is another one. `None`: there is no memory.
    pub fn step(&mut self, clusters: &Clusters) -> Option<bool> {
        let Some((cluster, driver)) = self.next(clusters) else { return Some(false) };
        if self.place > 0 && driver.view(Client::version) != Some(self.version) {
            // The list has changed: the cluster begins anew.
            self.place = 0;
            self.snapshot.clients.pop();
            let index = self.snapshot.clients.len();
            self.snapshot.routes.retain(|route| route.client != index);
        }
        if self.place == 0 {
            let index = self.snapshot.clients.len();
            let key = self.key.as_deref();
            let begun = driver.view(|client| {
                self.snapshot.routes.extend(key.and_then(|key| route(index, client, key)));
                self.snapshot.clients.push(shell(cluster, client, driver)?);
                self.version = client.version();
                Some(())
            });
            begun.unwrap_or(Some(()))?;
        }
        let (calendar, workers) = (self.calendar, &self.snapshot.workers);
        let view = |client: &Client<_>| View { calendar, workers, connect_timeout: client.config().connect_timeout };
        let seen = driver.view(|client| view(client).server(cluster, driver, client, self.place)).flatten();
        let shown = self.snapshot.clients.last_mut();
        if let Some((shown, server)) = shown.zip(seen) {
            if self.snapshot.scope == Scope::Zone {
                let pending = server.pending.saturating_add(server.queued);
                shown.pending = if self.place == 0 { pending } else { shown.pending.saturating_add(pending) };
            }
            shown.servers.push(server);
        }
        self.place = self.place.saturating_add(1);
        let servers = driver.view(|client| client.servers_of(Subset::ALL).len());
        if servers.is_none_or(|servers| self.place >= servers) {
            (self.cluster, self.place) = (self.cluster.saturating_add(1), 0);
        }
        Some(true)
    }

    /// The cluster that is next, if it has a client.
    fn next<'a>(&mut self, clusters: &'a Clusters) -> Option<(&'a Cluster, &'a Driver)> {
        loop {
            let cluster = clusters.iter().nth(self.cluster)?;
            match cluster.running() {
                Some(driver) => return Some((cluster, driver)),
                None => self.cluster = self.cluster.saturating_add(1),
            }
        }
    }

    /// The complete status.
    pub fn finish(&mut self) -> Snapshot {
        let empty = Snapshot {
            clients: Vec::new(),
            routes: Vec::new(),
            workers: Vec::new(),
            abi: String::new(),
            nginx: String::new(),
            ..self.snapshot
        };
        let mut snapshot = mem::replace(&mut self.snapshot, empty);
        names::name_clusters(&mut snapshot.clients);
        snapshot
    }
}

/// A client without its servers, with room for them. `None`: there is no memory.
fn shell(cluster: &Cluster, client: &Client<Callback>, driver: &Driver) -> Option<snapshot::Client> {
    let config = client.config();
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let (configured, mut servers) = (cluster.config.servers.iter(), Vec::new());
    servers.try_reserve_exact(config.servers.len()).ok()?;
    Some(snapshot::Client {
        cluster: text(&config.name),
        used_by: cluster.used_by.borrow().iter().map(|name| text(name)).collect(),
        list_version: client.version(),
        hash: config.hash.name(),
        failover: config.failover.name(),
        backup_ttl: (config.failover == Failover::Backup).then_some(config.backup_ttl),
        protocol: config.protocol.name(),
        timeout_ms: millis(config.timeout),
        connect_timeout_ms: millis(config.connect_timeout),
        max_fails: config.max_fails,
        retry_ms: millis(config.retry),
        pipeline: config.pipeline,
        queue: config.queue,
        max_value: config.max_value,
        coalesce: config.coalesce,
        hash_prefix: config.keys.hash_prefix,
        hash_tag: config.keys.hash_tag.map(|tag| text(&[tag.open, tag.close])),
        long_keys: config.keys.long_keys.name(),
        ssl: !config.security.is_empty(),
        not_shown: text(&config.keys.prefix)
            + &text(&config.security)
            + &text(config.credentials.as_ref().map_or(&[][..], |credentials| credentials.edition())),
        configured: configured.map(|server| (text(&server.name), server.weight, server.backup)).collect(),
        pending: client.pending() as u64,
        turns_cut: driver.turns_cut(),
        longest_handlers_ms: millis(driver.longest_handlers()),
        modules: client.modules().map(module).collect(),
        servers,
    })
}

fn module(module: ModuleView) -> snapshot::Module {
    let ModuleView { name, operations, errors, queued } = module;
    let name = if name.is_empty() { "-".into() } else { text(&name) };
    snapshot::Module { name, operations, errors, queued: queued as u64 }
}

/// Whose numbers are shown, and when.
struct View<'a> {
    calendar: Calendar,
    workers: &'a [Worker],
    connect_timeout: Duration,
}

impl View<'_> {
    fn server(
        &self,
        cluster: &Cluster,
        driver: &Driver,
        client: &Client<Callback>,
        place: usize,
    ) -> Option<snapshot::Server> {
        let &id = client.servers_of(Subset::ALL).get(place)?;
        let (server, addresses) = client.server(id).zip(driver.addresses(id))?;
        let record = cluster.record(place);
        let shown = self.shown(&server, record.as_ref());
        let asked_at = addresses.text(server.address);
        let resolve = driver.is_followed(id);
        Some(snapshot::Server { asked_at: text(&asked_at), addresses: addresses.len(), resolve, ..shown })
    }

    fn shown(&self, server: &ServerView<'_>, record: Option<&Record>) -> snapshot::Server {
        let own = [server.counters];
        // The client's own counts may not have been published yet.
        server.publish(self.calendar.now());
        let Some((record, all)) = record.and_then(|record| Some((record, record.counters()?))) else {
            return self.sum(server, own.into_iter(), own.into_iter());
        };
        let workers = self.workers.iter().filter_map(|worker| Some((worker.slot, record.of_slot(worker.slot)?)));
        let mut workers: Vec<_> = workers.map(|(slot, counters)| in_worker(slot, counters)).collect();
        // The counts of a dead worker remain. Its connections do not.
        let living = self.workers.iter().filter_map(|worker| record.of_slot(worker.slot));
        let mut sum = self.sum(server, all, living);
        // What others found at its addresses is nothing to one that knows none.
        let has_address = server.config.addresses > 0;
        if let Some(shared_health) = record.shared_health.filter(|_| server.state != State::Disabled && has_address) {
            sum.state = if shared_health.is_down() { snapshot::State::Down } else { snapshot::State::Live };
            sum.since = self.calendar.millis(shared_health.since().unwrap_or(server.since));
        }
        // The same for the operator: some workers may not have noticed yet.
        if let Some(shared) = record.switch.filter(|shared| shared.get() != Switch::Up) {
            let last = shared.switched();
            let since = last.map(|last| self.calendar.millis(last.at));
            sum.operator =
                Some(TakenOut { state: shared.get().name(), since, from: last.map(|last| client_text(last.by)) });
            (sum.state, sum.since) = (snapshot::State::Disabled, since.unwrap_or(sum.since));
        }
        // One that has asked nothing since does not know yet that the server is down.
        let down = sum.state == snapshot::State::Down;
        for worker in workers.iter_mut().filter(|worker: &&mut ServerInWorker| down && worker.open == 0) {
            worker.state = snapshot::State::Down;
        }
        snapshot::Server { workers, ..sum }
    }

    fn sum<'a>(
        &self,
        server: &ServerView<'_>,
        counters: impl Iterator<Item = &'a Counters> + Clone,
        living: impl Iterator<Item = &'a Counters> + Clone,
    ) -> snapshot::Server {
        let (config, pool) = (server.config, server.config.pool);
        let mut stats = Stats::default();
        counters.clone().for_each(|counters| stats.add(&counters.stats));
        let gauge = |read: fn(&Counters) -> u64| living.clone().map(read).fold(0, u64::saturating_add);
        let latency = |read: &dyn Fn(&'a Counters, &mut Distribution)| {
            let mut distribution = Distribution::default();
            counters.clone().for_each(|counters| read(counters, &mut distribution));
            of_distribution(&distribution)
        };
        let kind = |kind: Kind| {
            let one =
                latency(&|counters, sum| counters.latency.get(kind as usize).into_iter().for_each(|h| sum.add(h)));
            (kind.name(), one)
        };
        let mut said = living.clone().chain(counters.clone()).map(|counters| &counters.gauges);
        let version = said.clone().find_map(|gauges| gauges.version());
        let protocol = said.find_map(|gauges| gauges.protocol());
        snapshot::Server {
            address: text(&config.name),
            asked_at: String::new(),
            addresses: config.addresses,
            resolve: false,
            state: of_state(server.state),
            since: self.calendar.millis(server.since),
            operator: None,
            version: version.map(|version| version.to_string()),
            protocol: protocol.map(Protocol::name),
            weight: config.weight,
            backup: config.backup,
            pool: Pool { min: pool.min(), smax: pool.smax(), max: pool.max(), ttl: pool.ttl() },
            connections: connections(&stats, gauge),
            pending: gauge(|c| c.gauges.pending.get()),
            queued: gauge(|c| c.gauges.queued.get()),
            operations: stats.operations.list().collect(),
            hits: stats.hits,
            misses: stats.misses,
            errors: stats.errors.list().collect(),
            limits: stats.limits.list().collect(),
            coalesced: stats.coalesced,
            retried: stats.retried,
            failed_over: stats.failed_over,
            handed_back: stats.handed_back,
            bytes: Bytes { read: stats.bytes_read, written: stats.bytes_written },
            latency: latency(&|counters, sum| counters.latency.iter().for_each(|histogram| sum.add(histogram))),
            latency_by_kind: Kind::ALL.into_iter().map(kind).collect(),
            queue_time: latency(&|counters, sum| sum.add(&counters.queue_time)),
            last_error: self.last_error(counters.clone(), version),
            history: self.history(counters),
            workers: Vec::new(),
        }
    }

    fn last_error<'a>(
        &self,
        counters: impl Iterator<Item = &'a Counters>,
        version: Option<Version>,
    ) -> Option<LastError> {
        let (fault, at) = counters.filter_map(|counters| counters.last_fault.get()).max_by_key(|&(_, at)| at)?;
        let text = match (fault, version) {
            (Fault::TooOld, Some(version)) => {
                format!("memcached {version} is too old: {} or later is needed", Version::OLDEST)
            }
            _ => fault.text_with(self.connect_timeout),
        };
        Some(LastError { class: fault.class(), text, hint: fault.hint(), at: self.calendar.millis(at) })
    }

    fn history<'a>(&self, counters: impl Iterator<Item = &'a Counters> + Clone) -> Vec<Sample> {
        let now = self.calendar.now();
        let sample = |(began, span): (_, Span)| Sample {
            at: self.calendar.millis(began),
            millis: Millis::try_from(now.since(began).min(SPAN).as_millis()).unwrap_or(0),
            operations: span.operations(),
            hits: span.hits(),
            misses: span.misses(),
            errors: span.errors(),
            p50_us: span.permille(500),
            p99_us: span.permille(990),
        };
        history(counters, now).map(sample).collect()
    }
}

fn connections(stats: &Stats, gauge: impl Fn(fn(&Counters) -> u64) -> u64) -> Connections {
    let (open, busy) = (gauge(|c| c.gauges.open.get()), gauge(|c| c.gauges.busy.get()));
    Connections {
        open,
        connecting: gauge(|c| c.gauges.connecting.get()),
        idle: open.saturating_sub(busy),
        busy,
        opened: stats.opened,
        failed: stats.failed,
        lost: stats.lost,
    }
}

fn in_worker(slot: usize, counters: &Counters) -> ServerInWorker {
    let stats = counters.read();
    let sum =
        |list: &mut dyn Iterator<Item = (&'static str, u64)>| list.map(|(_, count)| count).fold(0, u64::wrapping_add);
    ServerInWorker {
        slot,
        state: of_state(counters.gauges.state()),
        open: counters.gauges.open.get(),
        busy: counters.gauges.busy.get(),
        pending: counters.gauges.pending.get(),
        queued: counters.gauges.queued.get(),
        operations: sum(&mut stats.operations.list()),
        errors: sum(&mut stats.errors.list()),
    }
}

fn of_distribution(distribution: &Distribution) -> Latency {
    Latency {
        count: distribution.count(),
        sum_us: distribution.sum(),
        p50_us: distribution.permille(500),
        p90_us: distribution.permille(900),
        p99_us: distribution.permille(990),
        max_us: distribution.max(),
        buckets: distribution.buckets().map(|(le_us, count)| Bucket { le_us, count }).collect(),
    }
}

fn of_state(state: State) -> snapshot::State {
    match state {
        State::Live => snapshot::State::Live,
        State::Down => snapshot::State::Down,
        State::Disabled => snapshot::State::Disabled,
    }
}

fn route(index: usize, client: &Client<Callback>, key: &[u8]) -> Option<snapshot::Route> {
    let nowhere =
        |error| snapshot::Route { client: index, error, hash: None, point: None, candidates: Vec::new(), server: None };
    // Of the servers of the list, those that are shown.
    let list = client.servers_of(Subset::ALL);
    let place = |id: ServerId| list.iter().position(|&other| other == id);
    Some(match client.explain(key) {
        Ok((why, server)) => snapshot::Route {
            hash: why.hash,
            point: why.point,
            candidates: why.candidates.into_iter().filter_map(place).collect(),
            server: server.and_then(place),
            ..nowhere(None)
        },
        Err(error) => nowhere(Some(error.to_string())),
    })
}

/// Bytes that are not UTF-8 become U+FFFD.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
