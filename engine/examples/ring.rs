//! What each hash costs: memory of a client, time to make it, time to find a key's server.
//!
//! ```sh
//! cargo run --release -p memcache-engine --example ring -- 1000
//! ```
//!
//! prints a line for each hash: bytes that the client holds; bytes that it held at most while it was made; both without
//! those of `modulo`, whose client is the same but for the ring; and the times, the shortest of some.

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use memcache_engine::{Client, Config, Hash, ServerConfig, ServerParams};

fn main() -> Result<(), Box<dyn Error>> {
    let servers = std::env::args().nth(1).map_or(Ok(1000), |arg| arg.parse::<usize>())?;
    println!("{servers} servers     held, KiB   at most, KiB   without modulo's   made in, us   a key, ns");
    let mut base = (0, 0);
    for hash in Hash::ALL {
        let cost = measure(&config(hash, servers)?)?;
        if hash == Hash::Modulo {
            base = (cost.held, cost.peak);
        }
        println!(
            "{:<12} {:>14} {:>14} {:>9} {:>8} {:>13} {:>11}",
            hash.name(),
            cost.held / 1024,
            cost.peak / 1024,
            cost.held.saturating_sub(base.0) / 1024,
            cost.peak.saturating_sub(base.1) / 1024,
            cost.build.as_micros(),
            cost.key.as_nanos(),
        );
    }
    Ok(())
}

fn config(hash: Hash, servers: usize) -> Result<Config, Box<dyn Error>> {
    let (pool, weight) = ServerParams::default().finish()?;
    let server = |number: usize| {
        let name = format!("10.0.{}.{}:11211", number / 256, number % 256).into_bytes().into();
        ServerConfig { name, addresses: 1, pool, weight, backup: false }
    };
    let mut config = Config::new((0..servers).map(server).collect());
    config.hash = hash;
    config.check_weights()?;
    Ok(config)
}

struct Cost {
    held: usize,
    peak: usize,
    build: Duration,
    key: Duration,
}

/// Each thing is done some times, and the quickest counts: what is above it is the machine's doing.
const TIMES: u32 = 5;
const KEYS: u32 = 20_000;

fn measure(config: &Config) -> Result<Cost, Box<dyn Error>> {
    let keys: Vec<String> = (0..KEYS).map(|n| format!("key{n}")).collect();
    let mut cost = Cost { held: 0, peak: 0, build: Duration::MAX, key: Duration::MAX };
    for _ in 0..TIMES {
        let config = config.clone();
        let before = LIVE.load(Relaxed);
        PEAK.store(before, Relaxed);

        let start = Instant::now();
        let client: Client<()> = Client::new(config, 0, memcache_engine::Instant::from_micros(0));
        cost.build = cost.build.min(start.elapsed());

        cost.held = LIVE.load(Relaxed).saturating_sub(before);
        cost.peak = PEAK.load(Relaxed).saturating_sub(before);

        let start = Instant::now();
        for key in &keys {
            black_box(client.server_of(key.as_bytes())?);
        }
        cost.key = cost.key.min(start.elapsed().checked_div(KEYS).unwrap_or_default());
    }
    Ok(cost)
}

/// Bytes that are allocated now, and the most that were.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted.
struct Counted;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

// SAFETY: every call goes to the system's allocator as it is; counting allocates nothing.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed).saturating_add(layout.size());
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller's promise is that of this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is that of this function.
        unsafe { System.dealloc(place, layout) }
    }
}
