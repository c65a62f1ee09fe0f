//! Wakers of tasks, which any thread may use.

#[cfg(feature = "tokio")]
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::task::Wake;

use super::{Stage, Task};
use crate::event_loop;
#[cfg(feature = "tokio")]
use crate::event_loop::notify;
use crate::event_loop::turn::{self, When};

impl Task {
    fn wake_on_loop(&self) {
        if !self.request.get().is_null() {
            let when = if self.stage.get() == Stage::Polled { When::Later } else { When::Soon };
            // SAFETY: this is the event loop's thread, and the request keeps the task and its event alive.
            unsafe { turn::post(self.event.get(), when) };
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    /// The task will be polled in this turn of the event loop, or, if it is being polled, in the next one, but never
    /// inside of this call.
    fn wake_by_ref(self: &Arc<Self>) {
        match event_loop::this_thread() == self.owner {
            true => self.wake_on_loop(),
            #[cfg(feature = "tokio")]
            false if !self.woken.swap(true, Ordering::AcqRel) => notify::wake(self.clone()),
            false => {}
        }
    }
}

#[cfg(feature = "tokio")]
impl notify::Wakes for Task {
    fn wake_here(self: Arc<Self>) {
        self.woken.swap(false, Ordering::AcqRel);
        self.wake_on_loop();
    }
}
