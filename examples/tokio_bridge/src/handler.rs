//! The content handler.

use std::time::Duration;

use ngx::core::Status;
use ngx::http::{HTTPStatus, Request};
use ngx_memcache::http::{self, Respond, Response};
use ngx_memcache::{Client, Error};
use tokio::task::JoinSet;

use crate::module;
use crate::rounds::{self, MAX_ROUNDS};
use crate::runtime;
use crate::work::{self, Failure};

/// How long a request waits for its digest.
const PATIENCE: Duration = Duration::from_secs(30);

/// `GET /digest/TEXT?rounds=N`.
pub fn digest(request: &mut Request) -> Status {
    let Some(rounds) = rounds::asked(request.as_ref().args.as_bytes()) else {
        let text = format!("rounds: a number up to {MAX_ROUNDS}\n");
        return Response::new(HTTPStatus::BAD_REQUEST).content_type("text/plain").body(text).respond(request);
    };
    let text = request.as_ref().uri.as_bytes().to_vec();

    let mc = Client::from_request(request).and_then(|mc| mc.of_module(module::module()));
    let remote = match mc.and_then(|mc| mc.remote()) {
        Ok(remote) => remote,
        Err(error) => return error.respond(request),
    };
    let Some(runtime) = runtime::handle() else { return HTTPStatus::SERVICE_UNAVAILABLE.respond(request) };
    // A task of a set is aborted with the set, here when the client goes away; one that was just spawned would go on.
    let mut task = JoinSet::new();
    task.spawn_on(work::digest(remote, text, rounds), &runtime);

    http::spawn(request, async move {
        // The task wakes this from its thread. What it waits for, the worker waits for when it exits.
        match http::timeout(PATIENCE, task.join_next()).await {
            Some(Some(Ok(Ok((digest, source))))) => {
                let response = Response::ok().content_type("text/plain").header("X-Source", source);
                Ok(response.body(format!("{digest}\n")))
            }
            Some(Some(Ok(Err(Failure::Memcached(error))))) => Err(error),
            Some(Some(Ok(Err(Failure::Full)))) => {
                Ok(Response::new(HTTPStatus::SERVICE_UNAVAILABLE).header("Retry-After", "1"))
            }
            // It panicked, or the runtime has ended.
            Some(_) => Ok(Response::new(HTTPStatus::INTERNAL_SERVER_ERROR)),
            None => Ok::<_, Error>(Response::new(HTTPStatus::GATEWAY_TIME_OUT)),
        }
    })
}
