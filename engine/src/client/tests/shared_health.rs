//! Several clients of one server. Each adopts what another has found, and one of them probes.

use super::*;
use crate::metrics::counter::Memory;
use crate::server::WorkerMemory;
use crate::shared::SharedHealth;

const RETRY: Duration = Config::RETRY;

/// The workers of a host, with one clock.
struct Workers {
    list: Vec<World>,
    now: Instant,
    shared_health: Memory<SharedHealth>,
}

impl Workers {
    fn new(count: u32, params: &[&str]) -> Workers {
        let now = Instant::from_micros(1_000_000);
        let mut workers = Workers { list: Vec::new(), now, shared_health: Memory::default() };
        (0..count).for_each(|_| workers.start(params));
        workers
    }

    /// Another worker starts.
    fn start(&mut self, params: &[&str]) {
        let process = self.list.len() as u32 + 1;
        let now = self.now;
        let servers = vec![ServerMemory { shared_health: self.shared_health.clone(), ..ServerMemory::default() }];
        let client = Client::among(config(&[params]), u64::from(process), WorkerMemory { process, servers }, now);
        self.list.push(World::of(client, now));
        self.list.last_mut().unwrap().outputs();
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.list.iter_mut().for_each(|w| w.wait(time));
    }

    /// Time passes, and all connects are refused.
    fn wait_refused(&mut self, time: Duration) {
        let step = Duration::from_millis(1);
        for _ in 0..time.as_millis() / step.as_millis() {
            self.now = self.now.after(step);
            for w in &mut self.list {
                w.wait(step);
                w.refuse();
            }
        }
    }

    /// Refuses all connects that are under way. Returns their number.
    fn refuse(&mut self) -> usize {
        self.list.iter_mut().map(World::refuse).sum()
    }

    fn opened(&self) -> Vec<usize> {
        self.list.iter().map(|w| w.opened.len()).collect()
    }

    fn states(&self) -> Vec<State> {
        self.list.iter().map(|w| w.view().state).collect()
    }

    fn events(&self) -> Vec<Event> {
        self.list.iter().flat_map(|w| w.events.clone()).collect()
    }

    /// The worker whose client probes.
    fn prober(&self) -> Option<usize> {
        self.list.iter().position(|w| w.view().connecting > 0)
    }
}

fn is_up(event: &Event) -> bool {
    matches!(event, Event::ServerUp { .. })
}

fn is_down(event: &Event) -> bool {
    matches!(event, Event::ServerDown { .. })
}

/// Connects the connection that was requested last.
fn accept_last(w: &mut World) {
    let n = w.opened.len() - 1;
    w.greet(n, "1.6.18");
}

fn get(w: &mut World) -> Result<(), Error> {
    w.submit("cow", Verb::Get { touch: None }, 1).map(drop)
}

#[test]
fn what_one_finds_down_the_others_do_not_try() {
    let mut workers = Workers::new(4, &[]);
    workers.list[0].get_or_error("cow", 1);
    workers.list[0].lose(0, Loss::Refused);
    workers.wait(Duration::from_millis(1));
    for w in &mut workers.list {
        assert_eq!(get(w), Err(Error::ServerDown));
    }
    assert_eq!(workers.opened(), [1, 0, 0, 0]);
    assert_eq!(workers.states(), [State::Down; 4]);
    let since = workers.list.iter().map(|w| w.view().since).collect::<Vec<_>>();
    assert_eq!(since, [Instant::from_micros(1_000_000); 4]);
    assert_eq!(workers.events().iter().filter(|e| is_down(e)).count(), 1, "one line in the log");
}

/// The server may be found down at any moment, even while a batch is submitted whose first keys wait for it.
#[test]
fn what_one_finds_down_as_another_submits_a_batch() {
    for at in 0..4 {
        let mut workers = Workers::new(2, &[]);
        let [one, other] = &mut workers.list[..] else { panic!("two") };
        one.get_or_error("cow", 1);
        let keys = (0..3).map(|n| {
            if n == at {
                one.lose(0, Loss::Refused);
            }
            &b"cow"[..]
        });
        let call = other.client.submit_many(Subset::ALL, keys, None, None, 2, other.now).unwrap();
        other.outputs();
        if at < 3 {
            let done = other.done();
            let [(2, Ok(Outcome::Many(parts)))] = &done[..] else { panic!("{at}: {done:?}") };
            let answers: Vec<_> = parts.iter().map(|part| part.answer.clone()).collect();
            assert_eq!(answers, vec![Err(Error::ServerDown); 3]);
        } else {
            assert_eq!((other.done().len(), other.cancel(call)), (0, Some(2)));
        }
        assert_eq!((other.client.pending(), other.client.completions()), (0, 0));
    }
}

#[test]
fn one_probes_and_all_take_the_result_over() {
    let mut workers = Workers::new(4, &["min=1"]);
    workers.list.iter_mut().for_each(|w| w.accept(0));
    // It is killed: all of them notice at the same time.
    workers.list.iter_mut().for_each(|w| w.lose(0, Loss::Eof));
    workers.wait_refused(Duration::from_secs(1));
    assert_eq!(workers.states(), [State::Down; 4]);
    let tried: usize = workers.opened().iter().sum();
    assert_eq!(tried, 4 + 1, "one of them tried");

    workers.wait_refused(Duration::from_secs(60));
    // After 5, 10, 20 and 40 seconds and some jitter, by whoever was there first.
    let probes = workers.opened().iter().sum::<usize>() - tried;
    assert!((2..=4).contains(&probes), "{probes} probes in a minute");

    // It is back: the next probe tells all, and those who have nothing to do get their `min` again.
    while workers.prober().is_none() {
        workers.wait(Duration::from_millis(50));
    }
    let prober = workers.prober().unwrap();
    accept_last(&mut workers.list[prober]);
    assert_eq!(workers.states()[prober], State::Live);
    for w in &mut workers.list {
        assert_eq!(get(w), Ok(()));
    }
    assert_eq!(workers.states(), [State::Live; 4]);
    assert_eq!(workers.events().iter().filter(|e| is_up(e)).count(), 1);
}

#[test]
fn who_is_idle_has_its_connections_again_soon() {
    let mut workers = Workers::new(2, &["min=1"]);
    workers.list.iter_mut().for_each(|w| w.accept(0));
    workers.list.iter_mut().for_each(|w| w.lose(0, Loss::Eof));
    workers.wait_refused(Duration::from_secs(100));
    while workers.prober().is_none() {
        workers.wait(Duration::from_millis(50));
    }
    let prober = workers.prober().unwrap();
    accept_last(&mut workers.list[prober]);
    let idle = 1 - prober;
    assert_eq!(workers.list[idle].view().connecting, 0);
    workers.wait(RETRY + Duration::from_millis(100));
    assert_eq!(workers.list[idle].view().connecting, 1, "without an operation");
}

#[test]
fn a_prober_that_dies_is_replaced() {
    let mut workers = Workers::new(3, &["min=1"]);
    workers.refuse();
    workers.wait_refused(Duration::from_secs(4));
    while workers.prober().is_none() {
        workers.wait(Duration::from_millis(10));
    }
    let died = workers.prober().unwrap();
    let lost_at = workers.list[0].now;
    workers.list.remove(died);
    assert_eq!(workers.prober(), None, "one at a time");
    while workers.prober().is_none() {
        workers.wait(Duration::from_millis(10));
    }
    let late = workers.list[0].now.since(lost_at);
    assert!(late <= Config::CONNECT_TIMEOUT + Duration::from_millis(1_100), "{late:?}");
    let prober = workers.prober().unwrap();
    accept_last(&mut workers.list[prober]);
    workers.list.iter_mut().for_each(|w| get(w).unwrap());
}

#[test]
fn a_worker_that_starts_believes_the_others() {
    let mut workers = Workers::new(1, &[]);
    workers.list[0].get_or_error("cow", 1);
    workers.list[0].lose(0, Loss::Refused);
    workers.start(&["min=3"]);
    assert_eq!((workers.states()[1], workers.opened()[1]), (State::Down, 0));
    assert_eq!(get(&mut workers.list[1]), Err(Error::ServerDown));
    // All that knew have gone: who comes then probes at once, and alone.
    workers.wait(Duration::from_secs(600));
    workers.list.clear();
    workers.start(&["min=3"]);
    workers.start(&["min=3"]);
    assert_eq!(workers.opened(), [1, 0]);
}

/// A client with trouble of its own does not bring the server down for clients that get answers.
#[test]
fn who_gets_answers_does_not_believe_that_it_is_down() {
    let mut workers = Workers::new(3, &["max=1"]);
    let [sick, well, idle] = &mut workers.list[..] else { panic!() };
    for w in [&mut *sick, &mut *well] {
        get(w).unwrap();
        w.accept(0);
        let request = w.written(0);
        w.reply_misses(0, &request);
    }
    get(sick).unwrap();
    sick.written(0);
    while sick.view().state != State::Down {
        get(sick).unwrap();
        for w in [&mut *sick, &mut *well, &mut *idle] {
            w.wait(Duration::from_millis(100));
        }
        get_and_miss(well);
    }
    get_and_miss(well);
    assert_eq!(well.view().state, State::Live);
    assert_eq!(get(idle), Err(Error::ServerDown), "who has no better knowledge believes it");
    // It insists after a while.
    workers.wait(RETRY - Duration::from_millis(1));
    get_and_miss(&mut workers.list[1]);
    assert!(workers.shared_health.is_down());
    workers.wait(Duration::from_millis(2));
    get_and_miss(&mut workers.list[1]);
    assert!(!workers.shared_health.is_down());
    assert_eq!(get(&mut workers.list[2]), Ok(()));
}

/// Row F39, with several clients: the pauses grow, whichever client finds the server down or probes.
#[test]
fn f39_flapping_is_damped_for_all() {
    let mut workers = Workers::new(3, &[]);
    let mut pauses = Vec::new();
    for round in 0..5 {
        get_or_nothing(&mut workers.list[round % 3]);
        assert_eq!(workers.refuse(), 1);
        workers.list.iter_mut().for_each(|w| assert_eq!(get(w), Err(Error::ServerDown)));
        let down_at = workers.now;
        while workers.prober().is_none() {
            workers.wait(Duration::from_millis(10));
        }
        let prober = workers.prober().unwrap();
        pauses.push(workers.now.since(down_at).as_secs());
        accept_last(&mut workers.list[prober]);
        workers.list[prober].drop_connections();
    }
    let expected = [5, 10, 20, 40, 60];
    let fits = |(pause, at): (&u64, u64)| (at..=at + at / 4).contains(pause);
    assert!(pauses.iter().zip(expected).all(fits), "{pauses:?}");
}

#[test]
fn a_clock_that_is_wrong_holds_nobody_up() {
    let mut workers = Workers::new(2, &[]);
    workers.list[0].now = Instant::from_micros(u64::MAX / 2);
    get_or_nothing(&mut workers.list[0]);
    workers.list[0].lose(0, Loss::Refused);
    assert_eq!(get(&mut workers.list[1]), Err(Error::ServerDown));
    workers.list[1].wait(RETRY);
    assert_eq!(workers.opened()[1], 1);
}

#[test]
fn a_server_out_of_use_is_not_probed_and_comes_back_as_the_others_know_it() {
    let mut workers = Workers::new(2, &[]);
    let now = workers.list[1].now;
    workers.list[1].client.set_enabled(0, false, now);
    get_or_nothing(&mut workers.list[0]);
    workers.list[0].lose(0, Loss::Refused);
    workers.list[0].client.drain(now);
    workers.wait(Duration::from_secs(30));
    assert_eq!((workers.opened()[1], workers.states()[1]), (0, State::Disabled));
    let now = workers.list[1].now;
    workers.list[1].client.set_enabled(0, true, now);
    workers.list[1].outputs();
    assert_eq!((workers.opened()[1], workers.states()[1]), (1, State::Down), "now it is probed");
}

fn get_and_miss(w: &mut World) {
    assert_eq!(get(w), Ok(()));
    let request = w.written(0);
    w.reply_misses(0, &request);
}

fn get_or_nothing(w: &mut World) {
    let _ = get(w);
}

impl World {
    fn refuse(&mut self) -> usize {
        let mut refused = 0;
        while self.view().connecting > 0 {
            let n = self.opened.len() - 1;
            self.lose(n, Loss::Refused);
            refused += 1;
        }
        refused
    }

    fn reply_misses(&mut self, n: usize, requests: &str) {
        let replies: String = tokens(requests).iter().map(|token| format!("EN O{token}\r\n")).collect();
        self.reply(n, &replies);
    }

    fn drop_connections(&mut self) {
        for n in 0..self.opened.len() {
            self.lose(n, Loss::Closing);
        }
    }
}
