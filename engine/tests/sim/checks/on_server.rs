//! What a server says of itself.

use memcache_engine::{Discovery, Outcome, ServerVerb};

use crate::op::Op;
use crate::server;

pub fn check_on_server(number: u64, op: &Op, outcome: &Outcome) {
    match (op.on_server, outcome) {
        (Some(ServerVerb::Version), Outcome::Text(text)) => {
            assert!(text.starts_with(b"1.") || text.ends_with(b" mcrouter"), "{text:?}");
        }
        (Some(ServerVerb::Stats), Outcome::Text(text)) => assert_eq!(text, "pid 1\nuptime 2\n"),
        (Some(ServerVerb::Noop | ServerVerb::FlushAll { .. }), Outcome::Done) => {}
        (Some(ServerVerb::Discover { .. }), Outcome::Text(text)) => {
            assert_eq!(text, &server::list(op.server), "operation {number}: the list of another server");
            assert_eq!(Discovery::parse(text).expect("a list").version, op.server as u64);
        }
        (Some(ServerVerb::Discover { .. }), Outcome::Miss) => assert_eq!(op.server % 4, 3, "it has a list"),
        (verb, outcome) => panic!("operation {number}: {verb:?} is {outcome:?}"),
    }
}
