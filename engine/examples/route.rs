//! Which server has a key: reads keys, one a line, and prints the number of each one's server, counted from 0.
//!
//! ```sh
//! echo cow | cargo run -p memcache-engine --example route -- ketama 10.0.0.1:11211 10.0.0.2:11212=3
//! ```
//!
//! Servers are named as in `nginx.conf`, with the port; a weight follows behind `=`. The tests compare this with other
//! clients.

use std::error::Error;
use std::io::{self, BufRead, BufWriter, Write};

use memcache_engine::{Client, Config, Hash, Instant, ServerConfig, ServerParams};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let hash = args.next().as_deref().and_then(|word| Hash::parse(word.as_bytes()));
    let servers = args.map(|arg| server(&arg)).collect::<Result<Vec<_>, _>>()?;
    let (Some(hash), false) = (hash, servers.is_empty()) else {
        return Err("usage: route modulo|one_at_a_time|consistent|ketama|rendezvous SERVER[=WEIGHT]... <KEYS".into());
    };
    let mut config = Config::new(servers);
    config.hash = hash;
    config.check_weights()?;
    let client: Client<()> = Client::new(config, 0, Instant::from_micros(0));

    let mut out = BufWriter::new(io::stdout().lock());
    for key in io::stdin().lock().split(b'\n') {
        writeln!(out, "{}", client.server_of(&key?)?)?;
    }
    Ok(out.flush()?)
}

/// `ADDRESS` or `ADDRESS=WEIGHT`.
fn server(arg: &str) -> Result<ServerConfig, Box<dyn Error>> {
    let (name, weight) = arg.rsplit_once('=').unwrap_or((arg, "1"));
    let mut params = ServerParams::default();
    params.parse(format!("weight={weight}").as_bytes())?;
    let (pool, weight) = params.finish()?;
    Ok(ServerConfig { name: name.as_bytes().to_vec().into(), addresses: 1, pool, weight, backup: false })
}
