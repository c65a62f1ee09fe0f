//! The crate `memcache`, as it spreads keys when it is used alone; the tests compare the hash `rendezvous` with it.
//!
//! `memcache_crate ACTION rendezvous SERVER...` reads keys, one a line. `route` prints the number of each one's server,
//! `set` stores the key itself in angle brackets and prints `ok`, `get` prints what is stored or an empty line.

use std::error::Error;
use std::io::{self, BufRead, BufWriter, Write};

use memcache::exp::{Memcache, Rendezvous, Router, ServerAddress, Ttl};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((action, [hash, servers @ ..])) = args.split_first() else {
        return Err("usage: memcache_crate route|set|get rendezvous SERVER... <KEYS".into());
    };
    if hash != "rendezvous" {
        return Err("the crate knows no other hash than rendezvous".into());
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let keys = io::stdin().lock().split(b'\n');
    match action.as_str() {
        "route" => {
            let names: Vec<String> = servers.iter().map(ServerAddress::identity).collect();
            let router = Rendezvous::new();
            for key in keys {
                writeln!(out, "{}", router.route(&key?, &names))?;
            }
        }
        "set" => {
            let client = Memcache::connect(servers)?;
            for key in keys {
                let key = key?;
                client.set(&key, [b"<", key.as_slice(), b">"].concat(), Ttl::NEVER)?;
                writeln!(out, "ok")?;
            }
        }
        "get" => {
            let client = Memcache::connect(servers)?;
            for key in keys {
                let value: Option<Vec<u8>> = client.get(&key?)?;
                out.write_all(&value.unwrap_or_default())?;
                writeln!(out)?;
            }
        }
        _ => return Err("the action is route, set or get".into()),
    }
    Ok(out.flush()?)
}
