//! Room for a future of whatever type, which is used again for the next one.

use std::alloc::{self, Layout};
use std::future::Future;
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll};

use ngx::core::Status;
use ngx::ffi::ngx_http_request_t;
use ngx::http::Request;

use super::respond::Respond;

/// A future of whatever type that is to end by doing something with its request.
pub(super) trait Handle {
    /// Polls it, and does that: what nginx is to be told.
    ///
    /// # Safety
    ///
    /// `request` is alive, and nobody else uses it meanwhile.
    unsafe fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>, request: *mut ngx_http_request_t) -> Poll<Status>;
}

impl<F: Future> Handle for F
where
    F::Output: Respond,
{
    unsafe fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>, request: *mut ngx_http_request_t) -> Poll<Status> {
        // SAFETY: guaranteed by the caller.
        Future::poll(self, cx).map(|output| output.respond(unsafe { Request::from_ngx_http_request(request) }))
    }
}

/// Memory, and the future in it, if there is one.
///
/// A slot may be dropped on any thread: that frees the memory, but not a future, which has to be taken out before.
pub(super) struct Slot {
    memory: NonNull<u8>,
    /// Of the memory; of no size if there is none.
    layout: Layout,
    future: Option<NonNull<dyn Handle>>,
}

/// What memory comes in units of, so that futures of about the same size fit into the same slots.
const UNIT: usize = 64;

impl Slot {
    pub(super) const fn new() -> Self {
        Slot { memory: NonNull::dangling(), layout: Layout::new::<()>(), future: None }
    }

    /// How many bytes it has room for.
    pub(super) fn size(&self) -> usize {
        self.layout.size()
    }

    /// A place for this future; the one before is gone. `None`: no memory. Futures are large: this one is moved when
    /// there is a place, and only there.
    pub(super) fn place_for<F: Handle + 'static>(&mut self, _: &F) -> Option<Place<'_, F>> {
        debug_assert!(self.future.is_none());
        let place = self.room(Layout::new::<F>())?.cast();
        Some(Place { future: &mut self.future, place })
    }

    /// Memory for something of this layout, without what was in it.
    fn room(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() > self.layout.size() || layout.align() > self.layout.align() {
            let size = layout.size().max(1).checked_next_multiple_of(UNIT)?;
            let layout = Layout::from_size_align(size, layout.align()).ok()?;
            // SAFETY: the size is not 0.
            let memory = NonNull::new(unsafe { alloc::alloc(layout) })?;
            self.free();
            (self.memory, self.layout) = (memory, layout);
        }
        Some(self.memory)
    }

    /// The future, if there is one.
    pub(super) fn future(&mut self) -> Option<Pin<&mut dyn Handle>> {
        // SAFETY: it is there, nobody else has it, and it does not move.
        self.future.map(|mut future| unsafe { Pin::new_unchecked(future.as_mut()) })
    }

    /// Drops the future. It may panic, and is gone all the same.
    pub(super) fn clear(&mut self) {
        if let Some(future) = self.future.take() {
            // SAFETY: it was there, and is not any more.
            unsafe { ptr::drop_in_place(future.as_ptr()) };
        }
    }

    fn free(&mut self) {
        if self.layout.size() > 0 {
            // SAFETY: it was allocated with this layout.
            unsafe { alloc::dealloc(self.memory.as_ptr(), self.layout) };
            (self.memory, self.layout) = (NonNull::dangling(), Layout::new::<()>());
        }
    }
}

/// Room for a future.
pub(super) struct Place<'s, F> {
    future: &'s mut Option<NonNull<dyn Handle>>,
    place: NonNull<F>,
}

impl<F: Handle + 'static> Place<'_, F> {
    /// Puts it there, where it stays until it is dropped.
    #[inline(always)]
    pub(super) fn fill(self, future: F) {
        // SAFETY: there is room for it, and nothing in it.
        unsafe { self.place.write(future) };
        *self.future = Some(self.place);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        debug_assert!(self.future.is_none());
        self.free();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::task::Waker;

    use super::*;

    impl Slot {
        fn put<F: Handle + 'static>(&mut self, future: F) -> Option<()> {
            self.place_for(&future)?.fill(future);
            Some(())
        }
    }

    fn poll(slot: &mut Slot) -> Option<Poll<Status>> {
        // SAFETY: a structure of C, for which zeros are good.
        let mut request: ngx_http_request_t = unsafe { std::mem::zeroed() };
        // SAFETY: the request is there, and a status does not look at it.
        Some(unsafe { slot.future()?.poll(&mut Context::from_waker(Waker::noop()), &raw mut request) })
    }

    #[repr(align(64))]
    struct Aligned(u8);

    #[test]
    fn memory_is_used_again_while_it_is_large_enough() {
        let mut slot = Slot::new();
        assert!(poll(&mut slot).is_none());

        for (bytes, size) in [(100, 128), (10, 128), (120, 128), (1000, 1024), (0, 1024)] {
            let text = [1_u8; 3];
            let large = vec![7_u8; bytes];
            slot.put(async move { Status((text.len() + large.len()) as isize) }).unwrap();
            let before = slot.size();
            assert_eq!(poll(&mut slot), Some(Poll::Ready(Status(3 + bytes as isize))));
            slot.clear();
            assert!(poll(&mut slot).is_none());
            assert_eq!((before, size), (slot.size(), size));
        }
    }

    #[test]
    fn a_future_is_dropped_once() {
        let count = Rc::new(Cell::new(0));
        struct Counts(Rc<Cell<u32>>);
        impl Drop for Counts {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        let mut slot = Slot::new();
        let counts = Counts(count.clone());
        slot.put(async move {
            let _counts = counts;
            std::future::pending::<Status>().await
        })
        .unwrap();
        assert_eq!(poll(&mut slot), Some(Poll::Pending));
        slot.clear();
        slot.clear();
        assert_eq!(count.get(), 1);
    }

    #[test]
    fn futures_are_aligned() {
        let mut slot = Slot::new();
        slot.put(async { Status(0) }).unwrap();
        slot.clear();
        let aligned = Aligned(1);
        slot.put(async move {
            std::future::ready(()).await;
            Status(isize::from(aligned.0) + (ptr::from_ref(&aligned).addr() % 64) as isize)
        })
        .unwrap();
        assert_eq!(poll(&mut slot), Some(Poll::Ready(Status(1))));
        slot.clear();
    }
}
