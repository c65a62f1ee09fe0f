//! Numbers with names.

use crate::metrics::counter::Counter;

/// Numbers with names: as they are counted (`C` is [`Counter`]), and as they are read.
macro_rules! counters {
    ($(#[$doc:meta])* $name:ident {
        $([$(#[$group_doc:meta])* $group:ident: $Group:ident])*
        $($(#[$field_doc:meta])* $field:ident,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct $name<C = u64> {
            $($(#[$group_doc])* pub $group: $Group<C>,)*
            $($(#[$field_doc])* pub $field: C,)*
        }

        impl $name {
            /// Every counter with its name; those of groups are in their own lists.
            pub fn list(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field)),*].into_iter()
            }

            /// Adds what was counted there.
            pub fn add(&mut self, more: &$name<Counter>) {
                $(self.$group.add(&more.$group);)*
                $(self.$field = self.$field.wrapping_add(more.$field.get());)*
            }

            /// The difference to earlier counts.
            pub fn since(&self, before: &Self) -> Self {
                $name {
                    $($group: self.$group.since(&before.$group),)*
                    $($field: self.$field.wrapping_sub(before.$field),)*
                }
            }
        }

        impl $name<Counter> {
            /// Every counter with its name; those of groups are in their own lists.
            pub fn list(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field.get())),*].into_iter()
            }

            pub(super) fn fold(&self, own: &Self, told: &Self) {
                $(self.$group.fold(&own.$group, &told.$group);)*
                $(self.$field.fold(&own.$field, &told.$field);)*
            }
        }
    };
}

counters! {
    /// Operations that were accepted, by kind.
    Operations {
        /// get
        get,
        /// get-and-touch
        get_and_touch,
        /// lease get
        lease,
        /// metadata get
        inspect,
        /// set without a version
        set,
        /// set with a version
        compare_and_swap,
        /// add
        add,
        /// replace
        replace,
        /// append
        append,
        /// prepend
        prepend,
        /// delete
        delete,
        /// mark as stale
        invalidate,
        /// incr
        incr,
        /// decr
        decr,
        /// touch
        touch,
        /// noop
        noop,
        /// version
        version,
        /// stats
        stats,
        /// flush_all
        flush_all,
        /// the question for the servers of a cluster
        discover,
    }
}

counters! {
    /// Operations that failed, by class; a miss is not a failure.
    Errors {
        /// [`Error::NotSent`](crate::Error::NotSent)
        not_sent,
        /// [`Error::Unknown`](crate::Error::Unknown)
        unknown,
        /// [`Error::Timeout`](crate::Error::Timeout)
        timeout,
        /// [`Error::Busy`](crate::Error::Busy)
        busy,
        /// [`Error::ServerDown`](crate::Error::ServerDown)
        server_down,
        /// [`Error::Server`](crate::Error::Server)
        server,
        /// [`Error::Client`](crate::Error::Client)
        client,
        /// [`Error::Protocol`](crate::Error::Protocol)
        protocol,
        /// [`Error::TooLarge`](crate::Error::TooLarge)
        too_large,
        /// [`Error::NoMemory`](crate::Error::NoMemory)
        no_memory,
        /// [`Error::Unsupported`](crate::Error::Unsupported)
        unsupported,
        /// Cancelled by the caller, with or without an answer on its way.
        cancelled,
    }
}

counters! {
    /// How often a limit was hit; values that are too large are among the errors.
    Limits {
        /// Operations refused, as `memcache_queue` of them waited.
        queue,
        /// Operations refused, as [`MAX_BACKLOG`](crate::MAX_BACKLOG) bytes waited.
        backlog,
        /// Operations that had to wait, as each of `max` connections had
        /// [`PIPELINE_BOUND`](crate::PIPELINE_BOUND) times `memcache_pipeline` replies pending; and those that had to follow
        /// a write of their key, and were refused, as its connection had `memcache_queue` more of them.
        pipeline,
        /// Connects put off, as there were [`CONNECT_RATE`](crate::CONNECT_RATE) of them in the last second.
        connects,
        /// Connections closed, as a reply had a line above [`MAX_LINE`](crate::MAX_LINE), or statistics above
        /// [`MAX_STATS`](crate::MAX_STATS).
        reply,
    }
}

counters! {
    /// The counters of a server since the client was made.
    Stats {
        [
            /// Operations that were accepted, by kind.
            operations: Operations
        ]
        [
            /// Operations that failed, by class.
            errors: Errors
        ]
        [
            /// How often a limit was hit.
            limits: Limits
        ]
        /// Gets that found an item.
        hits,
        /// Gets that found none.
        misses,
        /// Gets that shared the exchange of another one.
        coalesced,
        /// Leases that were given back because the caller does not make the item.
        handed_back,
        /// Operations that went to another server, as this one was down.
        failed_over,
        /// Operations that were sent again, as their first connection ended.
        retried,
        /// Bytes received.
        bytes_read,
        /// Bytes sent.
        bytes_written,
        /// Connections that passed their handshake.
        opened,
        /// Connections that did not.
        failed,
        /// Connections that ended abnormally after their handshake.
        lost,
    }
}
