//! Waiting for several futures at once.

#![forbid(unsafe_code)]

use std::future::{poll_fn, Future};
use std::pin::Pin;
use std::task::Poll;

/// Waits for several futures at the same time: their outputs, in their order. It takes as long as the slowest of them.
///
/// ```no_run
/// # use ngx_memcache::{http, Client, Error};
/// # async fn example(mc: Client) {
/// let versions: Vec<Result<String, Error>> = http::all(mc.servers().map(|server| server.version())).await;
/// # }
/// ```
pub async fn all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<MaybeDone<F>> = futures.into_iter().map(|future| MaybeDone::Pending(Box::pin(future))).collect();
    poll_fn(|cx| {
        let mut waits = false;
        for maybe in &mut all {
            if let MaybeDone::Pending(future) = maybe {
                match future.as_mut().poll(cx) {
                    Poll::Ready(output) => *maybe = MaybeDone::Done(output),
                    Poll::Pending => waits = true,
                }
            }
        }
        if waits {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    let outputs = all.into_iter().filter_map(|maybe| match maybe {
        MaybeDone::Done(output) => Some(output),
        MaybeDone::Pending(_) => None,
    });
    outputs.collect()
}

enum MaybeDone<F: Future> {
    Pending(Pin<Box<F>>),
    Done(F::Output),
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::ready;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    /// Is ready when the cell is, and counts how often it was asked.
    async fn when(cell: &Cell<Option<u32>>, asked: &Cell<u32>) -> u32 {
        poll_fn(|_| {
            asked.set(asked.get().saturating_add(1));
            cell.get().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    #[test]
    fn r62_all_are_asked_before_one_has_answered() {
        let (cells, asked) = ([const { Cell::new(None) }; 3], [const { Cell::new(0) }; 3]);
        let mut cx = Context::from_waker(Waker::noop());
        let mut waiting = pin!(all(cells.iter().zip(&asked).map(|(cell, asked)| when(cell, asked))));
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        assert_eq!(asked.each_ref().map(Cell::get), [1, 1, 1]);
        cells[2].set(Some(2));
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        cells[0].set(Some(0));
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        assert_eq!(asked.each_ref().map(Cell::get), [3, 3, 2], "one that is ready is not asked again");
        cells[1].set(Some(1));
        assert_eq!(waiting.poll(&mut cx), Poll::Ready(vec![0, 1, 2]), "in their order");
    }

    #[test]
    fn none_and_those_that_are_ready() {
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(pin!(all([ready(1), ready(2)])).poll(&mut cx), Poll::Ready(vec![1, 2]));
        assert_eq!(pin!(all::<std::future::Ready<u8>>([])).poll(&mut cx), Poll::Ready(vec![]));
    }
}
