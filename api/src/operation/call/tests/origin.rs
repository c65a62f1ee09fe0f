//! Who has answered.

use super::*;
use crate::operation::lease::Lease;
use crate::operation::origin::Origin;

/// Polls, answers with `status` for a stand-in or not, and polls again.
fn finish_by<F: Future>(future: F, status: u32, stand_in: u32) -> F::Output {
    let mut future = pin!(future);
    assert!(poll(future.as_mut()).is_pending());
    answer_with(0, |result| (result.status, result.stand_in) = (status, stand_in));
    match poll(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("no answer"),
    }
}

#[test]
fn r42_hits_misses_and_stores_say_who_has_answered() {
    for (stand_in, origin) in [(0, Origin::Home), (1, Origin::StandIn)] {
        let (item, by) = finish_by(client().get("k").with_origin(), OK, stand_in).unwrap();
        assert_eq!((item.unwrap().origin(), by), (origin, origin));
        assert!(matches!(finish_by(client().get("k").with_origin(), MISS, stand_in), Ok((None, by)) if by == origin));
        assert_eq!(finish_by(client().add("k", "v").with_origin(), NOT_STORED, stand_in).unwrap(), (false, origin));
        assert_eq!(finish_by(client().touch("k", 9.secs()).with_origin(), MISS, stand_in).unwrap(), (false, origin));
        let Lease::Hit(item) = finish_by(client().lease("k", 9.secs()), OK, stand_in).unwrap() else {
            panic!("no hit")
        };
        assert_eq!(item.origin(), origin);
    }
}

#[test]
fn r42_an_operation_that_is_asked_for_its_origin_is_cancelled_like_any_other() {
    let mc = client();
    {
        let mut get = pin!(mc.get("k").with_origin());
        assert!(poll(get.as_mut()).is_pending());
    }
    assert_eq!(cancelled(), [1]);
}
