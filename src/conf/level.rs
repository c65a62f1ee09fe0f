//! Values of a level of the configuration.

#![forbid(unsafe_code)]

use crate::nginx::conf::Position;

/// A setting, and the position of its line.
#[derive(Clone)]
pub struct At<T> {
    /// The setting.
    pub value: T,
    /// The position.
    pub position: Position,
}

/// Takes from the level around it what is not said here.
pub fn take<T: Clone>(inner: &mut Option<T>, outer: &Option<T>) {
    if inner.is_none() {
        inner.clone_from(outer);
    }
}
