//! Which server has answered: the key's own, or another one in its place.

#![forbid(unsafe_code)]

/// Which server has answered.
///
/// With `memcache_failover next` or `backup`, another server stands in for one that is down. It does not know that one's items, and
/// may have ones of an earlier time when it stood in. So a miss of a stand-in does not say that there is no item: what
/// belongs to the item outside of memcached (the cookie of a session, an entry in an index) has to stay.
/// On a backup server, what is stored lives for `memcache_backup_ttl` at most, whatever the operation says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The key's own server.
    Home,
    /// Another one, because that is down.
    StandIn,
}

impl Origin {
    pub(crate) fn new(stand_in: u32) -> Self {
        if stand_in == 0 {
            Origin::Home
        } else {
            Origin::StandIn
        }
    }
}
