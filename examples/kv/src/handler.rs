//! Executes the commands.

use ngx::core::Status;
use ngx::ffi::{NGX_HTTP_GET, NGX_HTTP_HEAD};
use ngx::http::{HTTPStatus, HttpModuleLocationConf, NgxHttpCoreModule, Request};
use ngx_memcache::http::{self, bits, Body, Respond, Response};
use ngx_memcache::{Cas, Client, Error, Fault, Item, Metadata, Origin, Seconds, Server, Ttl};

use crate::change::{self, Content, Seen};
use crate::condition;
use crate::count;
use crate::lease;
use crate::request::{self, Action, Command, Condition, End, Parts, Plain, Refusal, Which, WithBody};
use crate::tag::Tag;

/// The content handler.
pub fn handle(request: &mut Request) -> Status {
    let command = Command::parse(parts(request));
    let mc = Client::from_request(request).and_then(|mc| mc.of_module(&raw const crate::ngx_http_memcache_kv_module));
    let (mc, command) = match (mc, command) {
        (Ok(mc), Ok(command)) => (mc, command),
        (_, Err(refusal)) => return refuse(refusal).respond(request),
        (Err(error), _) => return error.respond(request),
    };
    match command {
        // Most requests are this one. Its future has a fourth of the size of all others, and is moved.
        Command::Plain(Plain::Get { key }) => http::spawn(request, async move { told(get(mc, key).await) }),
        Command::Plain(command) => http::spawn(request, async move { told(plain(mc, command).await) }),
        Command::WithBody(command) => {
            let (WithBody::Store { key, .. } | WithBody::Extend { key, .. }) = &command;
            let key = key.clone();
            let too_large = async move |length| told(mc.check_value_len(key, length).and(Err(Error::TooLarge)));
            http::spawn_with_body_or(request, mc.max_value(), too_large, async move |body: &Body| {
                told(with_body(mc, command, body.bytes()).await)
            })
        }
    }
}

/// Answers what the client did wrong, and what the server does not support, with a text that says so.
fn told(answer: Result<Response, Error>) -> Result<Response, Error> {
    let error = match answer {
        Err(error) if error.fault() == Fault::Caller && error.http_status() < 500 => error,
        Err(error @ Error::Unsupported(_)) => error,
        answer => return answer,
    };
    let status = HTTPStatus(error.http_status().into());
    Ok(match error {
        Error::Server(_) => Response::refused(status, format!("{error}: an item that was there is deleted")),
        _ => refused(status, &error.to_string()),
    })
}

fn refused(status: HTTPStatus, why: &str) -> Response {
    Response::refused(status, format!("{why}: nothing was done"))
}

async fn get(mc: Client, key: Vec<u8>) -> Result<Response, Error> {
    let (item, origin) = mc.get(key).with_origin().await?;
    Ok(from(origin, item_or_404(item)))
}

/// Reads and touches an item that a read finds, and nothing else: two touches of a lease's empty item at once could restore
/// each other's expiry.
async fn get_and_touch(mc: Client, key: Vec<u8>, ttl: u32) -> Result<Response, Error> {
    match mc.inspect(&key).with_origin().await {
        // It has no leases either.
        Err(Error::Unsupported(_)) => {}
        about => {
            let (about, origin) = about?;
            if about.is_none_or(|about| about.stale) {
                return Ok(from(origin, Response::new(HTTPStatus::NOT_FOUND)));
            }
        }
    }
    let (item, origin) = mc.get_and_touch(key, Ttl::from_protocol(ttl)).with_origin().await?;
    Ok(from(origin, item_or_404(item)))
}

fn from(origin: Origin, response: Response) -> Response {
    match origin {
        Origin::Home => response,
        // A miss of a stand-in does not mean that there is no item.
        Origin::StandIn => response.header("X-Memcache-Stand-In", "1"),
    }
}

async fn plain(mc: Client, command: Plain) -> Result<Response, Error> {
    Ok(match command {
        Plain::Get { key } => get(mc, key).await?,
        Plain::GetAndTouch { key, ttl } => get_and_touch(mc, key, ttl).await?,
        Plain::Lease { key, vivify, recache } => {
            lease::lease(mc, key, u64::from(vivify).secs(), u64::from(recache).secs()).await?
        }
        Plain::Inspect { key } => match mc.inspect(key).await? {
            Some(metadata) => Response::ok().content_type("text/plain").body(about(&metadata)),
            None => Response::new(HTTPStatus::NOT_FOUND),
        },
        Plain::GetMulti { keys } => {
            let items = mc.get_multi(keys).await.into_iter().collect::<Result<Vec<_>, _>>()?;
            page(items)
        }
        Plain::Servers => servers(mc).await,
        Plain::OnServer { server, action } => match mc.servers().nth(server) {
            Some(server) => on_server(&server, action).await?,
            None => Response::new(HTTPStatus::NOT_FOUND),
        },
        Plain::Count { key, direction, delta, initial, ttl } => {
            let initial = initial.map(|number| (number, Ttl::from_protocol(ttl)));
            match count::count(&mc, &key, (direction, delta), initial).await {
                Ok(Some(number)) => Response::ok().content_type("text/plain").body(number.to_string()),
                Ok(None) => Response::new(HTTPStatus::NOT_FOUND),
                // The request is valid, but the item is not a number.
                Err(error) if count::is_no_number(&error) => refused(HTTPStatus::CONFLICT, "the item is no number"),
                Err(error) => return Err(error),
            }
        }
        Plain::Touch { key, ttl } => {
            // As for a get that touches.
            let touched = change::is_there(&mc, &key).await? && mc.touch(key, Ttl::from_protocol(ttl)).await?;
            done_or(HTTPStatus::NOT_FOUND, touched)
        }
        Plain::Invalidate { key, which, ttl } => invalidate(&mc, &key, &which, Ttl::from_protocol(ttl)).await?,
        Plain::Delete { key, which } => delete(&mc, &key, &which).await?,
    })
}

/// Marks an item as stale. A stale item is marked again, with the new time. A lease's empty item is marked, too,
/// without a longer life: its maker began before this, and must not store the item.
async fn invalidate(mc: &Client, key: &[u8], which: &Which, ttl: Ttl) -> Result<Response, Error> {
    Ok(match which {
        Which::Any => {
            let about = match mc.inspect(key).await {
                // It has no stale items either, as the answer is to say.
                Err(Error::Unsupported(_)) => None,
                about => about?,
            };
            let marked = match about {
                Some(_) => mc.invalidate(key).ttl(ttl).await?,
                None => {
                    mc.invalidate(key).await?;
                    false
                }
            };
            done_or(HTTPStatus::NOT_FOUND, marked)
        }
        Which::Present => {
            let once = async |about: Seen| match mc.invalidate(key).ttl(ttl).cas(about.cas).await {
                Err(Error::Unsupported(_)) => Ok(change::done(mc.invalidate(key).ttl(ttl).await?)),
                marked => marked.map(change::swapped),
            };
            done_or(HTTPStatus::PRECONDITION_FAILED, change::found_one(mc, key, once).await?.is_some())
        }
        Which::Tagged(tags) => {
            let mark = async |version| mc.invalidate(key).ttl(ttl).cas(version).await;
            done_or(HTTPStatus::PRECONDITION_FAILED, if_tagged(mc, key, tags, mark).await?)
        }
    })
}

/// Deletes an item. Without a condition, it also deletes a stale item, and a lease's empty item: its maker began before
/// this, and must not store the item.
async fn delete(mc: &Client, key: &[u8], which: &Which) -> Result<Response, Error> {
    Ok(match which {
        Which::Any => {
            let found = change::is_there(mc, key).await?;
            let deleted = mc.delete(key).await?;
            done_or(HTTPStatus::NOT_FOUND, found && deleted)
        }
        Which::Present => {
            let once = async |about: Seen| match mc.delete(key).cas(about.cas).await {
                Err(Error::Unsupported(_)) => Ok(change::done(mc.delete(key).await?)),
                deleted => deleted.map(change::swapped),
            };
            let deleted = match change::found_one(mc, key, once).await {
                // It is there, and its version is not known.
                Err(Error::ItemTooLarge) => mc.delete(key).await?,
                found => found?.is_some(),
            };
            done_or(HTTPStatus::PRECONDITION_FAILED, deleted)
        }
        Which::Tagged(tags) => {
            let delete = async |version| mc.delete(key).cas(version).await;
            done_or(HTTPStatus::PRECONDITION_FAILED, if_tagged(mc, key, tags, delete).await?)
        }
    })
}

async fn with_body(mc: Client, command: WithBody, value: &[u8]) -> Result<Response, Error> {
    match command {
        WithBody::Store { key, condition, flags, ttl } => {
            let ttl = Ttl::from_protocol(ttl);
            let creates = condition == Condition::Absent;
            let stored = match condition {
                Condition::None => mc.set(key, value).flags(flags).ttl(ttl).await.map(|()| true)?,
                Condition::Absent => change::create(&mc, &key, Content { value, flags, ttl }).await?,
                Condition::Present => {
                    let once = async |about: Seen| {
                        let store = mc.set(&key, value).flags(flags).ttl(ttl).cas(about.cas);
                        store.await.map(change::swapped)
                    };
                    change::found_one(&mc, &key, once).await?.is_some()
                }
                Condition::Tagged(tags) => {
                    let store = async |version| mc.set(&key, value).flags(flags).ttl(ttl).cas(version).await;
                    if_tagged(&mc, &key, &tags, store).await?
                }
            };
            Ok(if stored && creates {
                Response::new(HTTPStatus::CREATED)
            } else {
                done_or(HTTPStatus::PRECONDITION_FAILED, stored)
            })
        }
        WithBody::Extend { key, end } => extend(&mc, &key, end, value).await,
    }
}

/// Extends the item that a read would find, unless the result would be too large to read.
async fn extend(mc: &Client, key: &[u8], end: End, value: &[u8]) -> Result<Response, Error> {
    let too_large = "the item would be larger than memcache_max_value";
    let once = async |about: Seen| {
        if about.size.saturating_add(value.len()) > mc.max_value() {
            return Ok(Ok(Err(too_large)));
        }
        let extend = match end {
            End::Front => mc.prepend(key, value),
            End::Back => mc.append(key, value),
        };
        let extended = match extend.cas(about.cas).await {
            // As for a count.
            Err(Error::Unsupported(_)) => change::done(match end {
                End::Front => mc.prepend(key, value).await?,
                End::Back => mc.append(key, value).await?,
            }),
            extended => change::swapped(extended?),
        };
        Ok(match extended {
            // memcached also answers this if it has no room for the longer item.
            Err(Cas::Missing) if mc.found(key).await? == Some(about.cas) => {
                Ok(Err("memcached does not take the longer item"))
            }
            other => other.map(Ok),
        })
    };
    let extended = match change::found_one(mc, key, once).await {
        // It is already.
        Err(Error::ItemTooLarge) => Some(Err(too_large)),
        extended => extended?,
    };
    Ok(match extended {
        Some(Err(why)) => refused(HTTPStatus::REQUEST_ENTITY_TOO_LARGE, why),
        extended => done_or(HTTPStatus::NOT_FOUND, extended.is_some()),
    })
}

/// Runs an operation on the version that matches a tag. Returns whether it was there.
async fn if_tagged(
    mc: &Client,
    key: &[u8],
    tags: &[Tag],
    change: impl AsyncFnOnce(u64) -> Result<Cas, Error>,
) -> Result<bool, Error> {
    match condition::version_of(mc, key, tags).await? {
        Some(version) => Ok(change(version).await? == Cas::Applied),
        None => Ok(false),
    }
}

fn done_or(otherwise: HTTPStatus, done: bool) -> Response {
    Response::new(if done { HTTPStatus::NO_CONTENT } else { otherwise })
}

/// An answer with a body from outside: a browser must not guess another type.
fn foreign(status: HTTPStatus) -> Response {
    Response::new(status).header("X-Content-Type-Options", "nosniff")
}

/// An item, with its metadata.
pub fn item_or_404(item: Option<Item>) -> Response {
    let Some(item) = item else { return Response::new(HTTPStatus::NOT_FOUND) };
    foreign(HTTPStatus::OK).header("X-Memcache-Flags", item.flags()).header("ETag", condition::tag_of(&item)).body(item)
}

fn about(item: &Metadata) -> String {
    format!(
        "size={} flags={} cas={} ttl={} idle={} fetched={} stale={} leased={}\n",
        item.size,
        item.flags,
        item.cas,
        item.ttl.map_or("never".into(), |ttl| ttl.as_secs().to_string()),
        item.idle.as_secs(),
        item.fetched,
        item.stale,
        item.leased,
    )
}

/// A page that is assembled from parts.
fn page(items: Vec<Option<Item>>) -> Response {
    let asked = items.len();
    let found: Vec<Item> = items.into_iter().flatten().collect();
    foreign(HTTPStatus::OK)
        .header("X-Memcache-Hits", found.len())
        .header("X-Memcache-Misses", asked.saturating_sub(found.len()))
        .body(found)
}

/// A line for each server.
async fn servers(mc: Client) -> Response {
    // All at the same time, so that servers that hang do not add up.
    let versions = http::all(mc.servers().map(|server| server.version())).await;
    // This may have opened connections, so the numbers are read afterwards.
    let versions = versions.into_iter().map(|version| version.unwrap_or_else(|_| "-".into()));
    let lines = mc.servers().zip(versions).map(|(server, version)| line(&server, &version));
    foreign(HTTPStatus::OK).content_type("text/plain").body(lines.collect::<String>())
}

async fn on_server(server: &Server, action: Action) -> Result<Response, Error> {
    match action {
        Action::Noop => server.noop().await?,
        Action::FlushAll(delay) => server.flush_all().delay(u64::from(delay).secs()).await?,
        Action::Stats => {
            let stats = server.stats().await?;
            let lines: String = stats.iter().map(|(name, value)| format!("{name} {value}\n")).collect();
            return Ok(Response::ok().content_type("text/plain").body(lines));
        }
    }
    Ok(Response::new(HTTPStatus::NO_CONTENT))
}

fn line(server: &Server, version: &str) -> String {
    let pool = server.pool();
    format!(
        "{} {version} {} min={} smax={} max={} ttl={} weight={} open={} idle={} pending={} queued={}\n",
        server.address(),
        server.state(),
        pool.min,
        pool.smax,
        pool.max,
        pool.ttl.map_or(0, |ttl| ttl.as_secs()),
        server.weight(),
        server.open(),
        server.idle(),
        server.pending(),
        server.queued(),
    )
}

fn refuse(refusal: Refusal) -> Response {
    const BAD_REQUEST: HTTPStatus = HTTPStatus::BAD_REQUEST;

    match refusal {
        Refusal::BadRequest(why) => refused(BAD_REQUEST, &why),
        Refusal::BadArgument(name) => {
            refused(BAD_REQUEST, &format!("the argument {} is not right here", name.escape_ascii()))
        }
        Refusal::UnknownCondition(header) => refused(BAD_REQUEST, &format!("{header} is not known here")),
        Refusal::PreconditionFailed => Response::new(HTTPStatus::PRECONDITION_FAILED),
        Refusal::MethodNotAllowed => refused(HTTPStatus::NOT_ALLOWED, "there is no such method here")
            .header("Allow", "GET, HEAD, PUT, POST, DELETE"),
        Refusal::OnlyByPost => {
            refused(HTTPStatus::NOT_ALLOWED, "GET and HEAD change nothing, this is for POST").header("Allow", "POST")
        }
    }
}

/// Headers that make a request conditional, or partial, and that no action knows.
const UNKNOWN: [&str; 4] = ["If-Modified-Since", "If-Unmodified-Since", "If-Range", "Content-Range"];

fn parts(request: &Request) -> Parts<'_> {
    let r = request.as_ref();
    // nginx itself handles the conditions of a read.
    let is_read = matches!(r.method as u32, NGX_HTTP_GET | NGX_HTTP_HEAD);
    let header = |name: &str| {
        if is_read {
            return None;
        }
        let found = request.headers_in_iterator().find(|(key, _)| key.as_bytes().eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.as_bytes())
    };
    // A subrequest has the unparsed URI of its parent, which does not contain its key.
    let unparsed = bits::valid_unparsed_uri(r).then(|| r.unparsed_uri.as_bytes());
    let location = NgxHttpCoreModule::location_conf(request).map_or(&[][..], |location| location.name.as_bytes());

    Parts {
        method: r.method_name.to_str().unwrap_or_default(),
        key: request::key(unparsed, r.uri.as_bytes(), location),
        args: r.args.as_bytes(),
        if_match: header("If-Match"),
        if_none_match: header("If-None-Match"),
        unknown: UNKNOWN.into_iter().find(|name| header(name).is_some()),
        flags: header("X-Memcache-Flags"),
    }
}
