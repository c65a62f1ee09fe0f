//! Counters in memory that others may read.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

/// A number that one client writes, and that any thread or process may read meanwhile.
///
/// It needs no lock and no atomic exchange: the only writer loads and stores, at the cost of a plain number.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Zero.
    pub const fn new() -> Self {
        Counter(AtomicU64::new(0))
    }

    /// Its value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Another value.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// One more.
    #[inline]
    pub fn bump(&self) {
        self.add(1);
    }

    /// So many more.
    #[inline]
    pub fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }

    /// The value, if it is larger.
    #[inline]
    pub fn raise(&self, value: u64) {
        if value > self.get() {
            self.set(value);
        }
    }

    /// Adds what `own` has counted since `told`, and updates `told`. Only this function allows several writers.
    pub(crate) fn fold(&self, own: &Counter, told: &Counter) {
        let now = own.get();
        if now != told.get() {
            self.0.fetch_add(now.wrapping_sub(told.get()), Ordering::Relaxed);
            told.set(now);
        }
    }

    /// Like [`raise`](Counter::raise), for several writers.
    pub(crate) fn fold_largest(&self, own: &Counter) {
        if own.get() > self.get() {
            self.0.fetch_max(own.get(), Ordering::Relaxed);
        }
    }
}

/// A client's memory for numbers that others may read.
#[derive(Debug)]
pub enum Memory<T: 'static> {
    /// In memory of its process.
    Own(Arc<T>),
    /// In memory that outlives the process, or is shared with others.
    Shared(&'static T),
}

impl<T> Deref for Memory<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match self {
            Memory::Own(own) => own,
            Memory::Shared(shared) => shared,
        }
    }
}

impl<T> Clone for Memory<T> {
    fn clone(&self) -> Self {
        match self {
            Memory::Own(own) => Memory::Own(Arc::clone(own)),
            Memory::Shared(shared) => Memory::Shared(shared),
        }
    }
}

impl<T: Default> Default for Memory<T> {
    fn default() -> Self {
        Memory::Own(Arc::default())
    }
}
