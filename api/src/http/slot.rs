//! Room for a future of whatever type, which is used again for the next one.

#![allow(unsafe_code)]

use std::alloc::{self, Layout};
use std::future::Future;
use std::pin::Pin;
use std::ptr::{self, NonNull};

/// Memory, and the future in it, if there is one.
///
/// A slot may be dropped on any thread: that frees the memory, but drops no future. One that is still there, which is a
/// defect, stays where it is: whoever has its address may use it.
pub(super) struct Slot<O> {
    memory: NonNull<u8>,
    /// Of the memory; of no size if there is none.
    layout: Layout,
    future: Option<NonNull<dyn Future<Output = O>>>,
}

/// What memory comes in units of, so that futures of about the same size fit into the same slots.
const UNIT: usize = 64;

impl<O> Slot<O> {
    pub(super) const fn new() -> Self {
        Slot { memory: NonNull::dangling(), layout: Layout::new::<()>(), future: None }
    }

    /// How many bytes it has room for.
    pub(super) fn size(&self) -> usize {
        self.layout.size()
    }

    /// Where a future can go; the one before is gone. `None`: no memory. Futures are large: it is moved when there is a place,
    /// and only there.
    pub(super) fn vacant<F: Future<Output = O> + 'static>(&mut self) -> Option<Vacant<'_, F>> {
        debug_assert!(self.future.is_none());
        let place = self.room(Layout::new::<F>())?.cast();
        Some(Vacant { future: &mut self.future, place })
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
    pub(super) fn future(&mut self) -> Option<Pin<&mut dyn Future<Output = O>>> {
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

/// Where a future can go.
pub(super) struct Vacant<'s, F: Future> {
    future: &'s mut Option<NonNull<dyn Future<Output = F::Output>>>,
    place: NonNull<F>,
}

impl<F: Future + 'static> Vacant<'_, F> {
    /// Puts it there, where it stays until it is dropped.
    #[inline(always)]
    pub(super) fn insert(self, future: F) {
        // SAFETY: there is room for it, and nothing in it.
        unsafe { self.place.write(future) };
        *self.future = Some(self.place);
    }
}

impl<O> Drop for Slot<O> {
    fn drop(&mut self) {
        debug_assert!(self.future.is_none());
        if self.future.is_none() {
            self.free();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::task::{Context, Poll, Waker};

    use super::*;

    impl<O> Slot<O> {
        fn put<F: Future<Output = O> + 'static>(&mut self, future: F) -> Option<()> {
            self.vacant()?.insert(future);
            Some(())
        }
    }

    fn poll<O>(slot: &mut Slot<O>) -> Option<Poll<O>> {
        Some(slot.future()?.poll(&mut Context::from_waker(Waker::noop())))
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
            slot.put(async move { text.len() + large.len() }).unwrap();
            let before = slot.size();
            assert_eq!(poll(&mut slot), Some(Poll::Ready(3 + bytes)));
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
            std::future::pending::<()>().await
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
        slot.put(async { 0 }).unwrap();
        slot.clear();
        let aligned = Aligned(1);
        slot.put(async move {
            std::future::ready(()).await;
            usize::from(aligned.0) + ptr::from_ref(&aligned).addr() % 64
        })
        .unwrap();
        assert_eq!(poll(&mut slot), Some(Poll::Ready(1)));
        slot.clear();
    }
}
