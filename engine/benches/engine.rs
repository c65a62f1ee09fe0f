//! What an operation costs without any I/O: from `submit` to its completion, by kind, size and batch; and its parts,
//! encoding and decoding, which are `transmit` and `receive` here; and routing.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::arithmetic_side_effects)]

mod loopback;

use std::hint::black_box;

use criterion::{criterion_group, criterion_main, BatchSize, Criterion, Throughput};
use memcache_engine::{Client, Config, Hash, Instant, ServerConfig, ServerParams};

use loopback::{hit, miss, set, Loopback};

/// All of it, the small server's part included.
fn round(c: &mut Criterion) {
    let mut group = c.benchmark_group("round");
    for (name, work) in [
        ("get 100 B", hit(100)),
        ("get 4 KiB", hit(4_096)),
        ("get 100 KiB", hit(102_400)),
        ("miss", miss()),
        ("set 100 B", set(100)),
        ("set 4 KiB", set(4_096)),
    ] {
        for batch in [1, 16, 64] {
            let mut loopback = Loopback::new();
            group.throughput(Throughput::Elements(u64::from(batch)));
            group.bench_function(format!("{name}/{batch}"), |b| b.iter(|| loopback.round(batch, &work)));
        }
    }
}

/// The client's parts: submit, encode and send, receive and decode, complete; 64 operations at a time.
fn parts(c: &mut Criterion) {
    let mut group = c.benchmark_group("part");
    group.throughput(Throughput::Elements(64));
    let work = hit(100);
    type Part = fn(&mut Loopback, &loopback::Work);
    let steps: [(&str, Part); 4] = [
        ("submit", |l, work| l.submit(64, work)),
        ("encode", |l, _| l.transmit()),
        ("decode", |l, _| l.receive()),
        ("complete", |l, _| {
            black_box(l.complete());
        }),
    ];
    for measured in 0..steps.len() {
        group.bench_function(steps[measured].0, |b| {
            let mut loopback = Some(Loopback::new());
            let prepare = || {
                let mut l = loopback.take().unwrap_or_else(Loopback::new);
                for (step, (_, run)) in steps.iter().enumerate().take(measured) {
                    run(&mut l, &work);
                    if step == 1 {
                        l.serve(&work);
                    }
                }
                if measured == 2 {
                    l.serve(&work);
                }
                l
            };
            b.iter_batched(
                prepare,
                |mut l| {
                    (steps[measured].1)(&mut l, &work);
                    l
                },
                BatchSize::SmallInput,
            );
        });
    }
}

fn route(c: &mut Criterion) {
    let mut group = c.benchmark_group("route");
    for hash in Hash::ALL {
        for servers in [3, 100] {
            let (pool, weight) = ServerParams::default().finish().unwrap();
            let server = |n| ServerConfig {
                name: format!("10.0.0.{n}:11211").into(),
                addresses: 1,
                pool,
                weight,
                backup: false,
            };
            let config = Config { hash, ..Config::new((0..servers).map(server).collect()) };
            let client = Client::<()>::new(config, 1, Instant::from_micros(0));
            group.bench_function(format!("{}/{servers}", hash.name()), |b| {
                b.iter(|| client.server_of(black_box(b"session:0123456789abcdef")));
            });
        }
    }
}

criterion_group!(benches, round, parts, route);
criterion_main!(benches);
