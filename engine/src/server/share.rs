//! Room for a module among others: [`modules`](crate::front::modules) has the rule.

/// Whether a module that has `own` of `taken` places may take one more. `share` is asked for only if that matters.
pub(crate) fn has_room(own: usize, taken: usize, all: usize, share: impl FnOnce() -> usize) -> bool {
    taken < all && (taken < all / 2 || own < share())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_half_nobody_counts() {
        assert!(has_room(511, 511, 1024, || 0));
        assert!(!has_room(512, 512, 1024, || 512) && has_room(511, 1023, 1024, || 512));
        assert!(!has_room(0, 1024, 1024, || 512) && !has_room(0, 0, 0, || 1));
        assert!(has_room(0, 0, 1, || 1));
    }
}
