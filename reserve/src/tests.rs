use super::*;

/// A system that has no memory while this is set.
struct Poor(AtomicBool);

impl Poor {
    fn set(&self, poor: bool) {
        self.0.store(poor, Ordering::Relaxed);
    }
}

// SAFETY: the system's, or nothing.
unsafe impl GlobalAlloc for Poor {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.0.load(Ordering::Relaxed) {
            return null_mut();
        }
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(ptr, layout) }
    }
}

/// One of a test's own.
macro_rules! reserve {
    () => {{
        static MEMORY: Reserve<Poor> = Reserve::with(Poor(AtomicBool::new(false)));
        &MEMORY
    }};
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

/// Fills a block and returns it.
fn get(memory: &Reserve<Poor>, size: usize, byte: u8) -> *mut u8 {
    // SAFETY: the size is not zero; so many bytes are there.
    unsafe {
        let ptr = memory.alloc(layout(size));
        if !ptr.is_null() {
            assert_eq!(ptr.addr() % 8, 0);
            ptr.write_bytes(byte, size);
        }
        ptr
    }
}

fn check_and_free(memory: &Reserve<Poor>, ptr: *mut u8, size: usize, byte: u8) {
    // Miri takes a while for each byte.
    let step = if cfg!(miri) { 997 } else { 1 };
    // SAFETY: a block of `get`, of this size.
    unsafe {
        assert!((0..size).step_by(step).all(|i| ptr.add(i).read() == byte));
        memory.dealloc(ptr, layout(size));
    }
}

#[test]
fn what_the_system_has_is_the_systems() {
    let memory = reserve!();
    let ptr = get(memory, 100, 1);
    assert!(!memory.owns(ptr) && !memory.is_low());
    check_and_free(memory, ptr, 100, 1);
}

#[test]
fn what_it_refuses_comes_from_the_reserve_and_goes_back_there() {
    let memory = reserve!();
    for _ in 0..3 {
        memory.system.set(true);
        let blocks: Vec<_> =
            (1..100).map(|n: u8| (get(memory, usize::from(n) * 50, n), usize::from(n) * 50, n)).collect();
        assert!(blocks.iter().all(|&(ptr, ..)| !ptr.is_null() && memory.owns(ptr)));
        assert!(memory.is_low());
        memory.system.set(false);
        for (ptr, size, byte) in blocks {
            check_and_free(memory, ptr, size, byte);
        }
        assert_eq!(memory.heap().used(), 0);
        assert!(!memory.is_low(), "the system has memory again");
    }
}

#[test]
fn it_stays_low_while_most_of_the_reserve_is_in_use() {
    let memory = reserve!();
    memory.system.set(true);
    let blocks: Vec<_> = (0..6).map(|n| get(memory, LARGEST, n)).collect();
    assert!(blocks.iter().all(|ptr| !ptr.is_null()));
    memory.system.set(false);
    assert!(memory.is_low());
    for (n, ptr) in (0..).zip(blocks) {
        check_and_free(memory, ptr, LARGEST, n);
    }
    assert!(!memory.is_low());
}

#[test]
fn no_more_than_there_is_and_no_large_blocks() {
    let memory = reserve!();
    memory.system.set(true);
    assert!(get(memory, LARGEST + 1, 0).is_null());
    let blocks: Vec<_> = std::iter::repeat_with(|| get(memory, LARGEST, 0)).take_while(|ptr| !ptr.is_null()).collect();
    assert_eq!(blocks.len(), SIZE / LARGEST);
    blocks.into_iter().for_each(|ptr| check_and_free(memory, ptr, LARGEST, 0));
    memory.system.set(false);
    let ptr = get(memory, 2 * SIZE, 1);
    check_and_free(memory, ptr, 2 * SIZE, 1);
}

#[test]
fn blocks_move_in_both_directions_with_what_is_in_them() {
    let memory = reserve!();
    for (poor_before, poor_after) in [(false, true), (true, false), (true, true)] {
        for size in [10, 1000] {
            memory.system.set(poor_before);
            let ptr = get(memory, 100, 7);
            memory.system.set(poor_after);
            // SAFETY: a block of `get`, of this size.
            let new = unsafe { memory.realloc(ptr, layout(100), size) };
            assert_eq!(memory.owns(new), poor_after);
            let kept = size.min(100);
            // SAFETY: so many bytes are there.
            assert!((0..kept).all(|i| unsafe { new.add(i).read() } == 7));
            // SAFETY: it has this size now.
            unsafe { memory.dealloc(new, layout(size)) };
            assert_eq!(memory.heap().used(), 0);
        }
    }
    memory.system.set(false);
}

#[test]
fn what_does_not_fit_stays_where_it_is() {
    let memory = reserve!();
    let ptr = get(memory, 100, 7);
    memory.system.set(true);
    // SAFETY: a block of `get`, of this size.
    assert!(unsafe { memory.realloc(ptr, layout(100), LARGEST + 1) }.is_null());
    check_and_free(memory, ptr, 100, 7);
}

#[test]
fn zeros_are_zeros() {
    let memory = reserve!();
    memory.system.set(true);
    let ptr = get(memory, 100, 7);
    check_and_free(memory, ptr, 100, 7);
    // SAFETY: the size is not zero.
    let ptr = unsafe { memory.alloc_zeroed(layout(100)) };
    assert!(memory.owns(ptr));
    check_and_free(memory, ptr, 100, 0);
}
