//! What the benchmark asks of the memcache module: a handler of a few lines for each kind of work.
//!
//! ```nginx
//! location /bench/ {
//!     memcache_bench on;
//! }
//! ```
//!
//! Behind the location's name come the work and a key: `/bench/get/item`.

use std::sync::atomic::{AtomicUsize, Ordering};

use ngx::core::Status;
use ngx::http::{HTTPStatus, HttpModuleLocationConf, NgxHttpCoreModule, Request};
use ngx_memcache::http::{self, Body, Respond, Response};
use ngx_memcache::{Client, Error, Freshness};

ngx_memcache::content_handler! {
    module: ngx_http_memcache_bench_module,
    directive: "memcache_bench",
    handler: handle,
}

/// Parts of a page that is assembled from parts.
const PARTS: u8 = 10;

/// What `const` answers: as many bytes as the small value.
static CONSTANT: [u8; 100] = [b'v'; 100];

fn handle(request: &mut Request) -> Status {
    let Some((work, key)) = work(request) else { return HTTPStatus::NOT_FOUND.into() };
    let mc = match Client::from_request(request) {
        Ok(mc) => mc,
        Err(error) => return error.respond(request),
    };
    match work {
        // The same handler without memcached: the floor.
        b"const" => {
            let _key = key.to_vec();
            http::spawn(request, async { Response::ok().body(&CONSTANT[..]) })
        }
        b"get" => {
            let key = key.to_vec();
            http::spawn(request, async move { mc.get(key).await })
        }
        b"set" => {
            let key = key.to_vec();
            http::spawn_with_body(request, mc.max_value(), async move |body: &Body| {
                mc.set(key, body.bytes()).await?;
                Ok::<_, Error>(HTTPStatus::NO_CONTENT)
            })
        }
        b"multi" => {
            let keys: Vec<_> = (0..PARTS).map(|part| numbered(key, part)).collect();
            http::spawn(request, async move {
                let mut items = Vec::with_capacity(PARTS.into());
                for found in mc.get_multi(keys).await {
                    items.extend(found?);
                }
                Ok::<_, Error>(Response::ok().body(items))
            })
        }
        b"ten" => {
            let key = key.to_vec();
            http::spawn(request, async move {
                let mut items = Vec::with_capacity(PARTS.into());
                for part in 0..PARTS {
                    items.extend(mc.get(numbered(&key, part)).await?);
                }
                Ok::<_, Error>(Response::ok().body(items))
            })
        }
        b"fetch" => {
            let key = key.to_vec();
            http::spawn(request, async move { mc.fetch(key, Freshness::secs(60), || compute(mc)).await })
        }
        b"computations" => {
            let count = COMPUTATIONS.load(Ordering::Relaxed).to_string();
            http::spawn(request, async { Response::ok().body(count) })
        }
        _ => HTTPStatus::NOT_FOUND.into(),
    }
}

/// Something that takes a hundred exchanges.
async fn compute(mc: Client) -> Result<Vec<u8>, Error> {
    COMPUTATIONS.fetch_add(1, Ordering::Relaxed);
    if let Some(server) = mc.servers().next() {
        for _ in 0..100 {
            server.noop().await?;
        }
    }
    Ok(CONSTANT.to_vec())
}

static COMPUTATIONS: AtomicUsize = AtomicUsize::new(0);

/// The work and the key of a request: what is behind the location's name.
fn work(request: &Request) -> Option<(&[u8], &[u8])> {
    let location = NgxHttpCoreModule::location_conf(request)?.name.as_bytes();
    let path = request.as_ref().uri.as_bytes().strip_prefix(location)?;
    let slash = path.iter().position(|&byte| byte == b'/')?;
    let (work, key) = path.split_at_checked(slash)?;
    Some((work, key.get(1..)?))
}

fn numbered(key: &[u8], number: u8) -> Vec<u8> {
    [key, &[b'0'.wrapping_add(number)]].concat()
}
