//! `page N [good|bad|zone]`: the page with N servers that are made up, for looking at it.

#[path = "page/samples.rs"]
mod samples;

use memcache_status::{html, snapshot};

fn main() {
    let mut args = std::env::args().skip(1);
    let servers = args.next().and_then(|n| n.parse().ok()).unwrap_or(3);
    let mood = args.next().unwrap_or_default();
    let mut snapshot = samples::servers(servers);
    if mood == "bad" {
        for (n, server) in snapshot.clients.iter_mut().flat_map(|client| &mut client.servers).enumerate() {
            match n % 9 {
                1 => samples::take_down(server, "refused", "connection refused"),
                2 => samples::slow_down(server),
                _ => {}
            }
        }
    }
    if mood == "zone" {
        samples::share(&mut snapshot);
    }
    print!("{}", html::render(&snapshot));
}
