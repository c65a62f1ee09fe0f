//! Settings with a choice.

/// How keys are spread over the servers (`memcache_hash`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hash {
    /// `((crc32 >> 16) & 0x7fff)` modulo the sum of the weights: nginx `hash $key`, and apr_memcache, which has no
    /// weights and takes 0 for 1.
    #[default]
    Modulo,
    /// The one-at-a-time hash modulo the number of servers, without weights: what libmemcached does by default, and so PHP.
    OneAtATime,
    /// The CRC-32 ring of nginx `hash $key consistent`.
    Consistent,
    /// The weighted MD5 ring of libmemcached, which is PHP's `OPT_LIBKETAMA_COMPATIBLE` and twemproxy's `ketama` with
    /// `md5`.
    Ketama,
    /// The highest random weight of `memcache::exp`, in the crate `memcache`; without weights.
    Rendezvous,
}

impl Hash {
    /// All of them.
    pub const ALL: [Hash; 5] = [Hash::Modulo, Hash::OneAtATime, Hash::Consistent, Hash::Ketama, Hash::Rendezvous];

    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Hash::Modulo => "modulo",
            Hash::OneAtATime => "one_at_a_time",
            Hash::Consistent => "consistent",
            Hash::Ketama => "ketama",
            Hash::Rendezvous => "rendezvous",
        }
    }

    /// Whether only the keys of a server move when it joins or leaves the list. With `modulo` and
    /// `one_at_a_time`, nearly all keys move: `n / (n + 1)` of them when the number of servers changes from `n` to `n + 1`. Each such change empties the cache, and
    /// a change back brings old values back. So it is not for a list that changes by itself.
    ///
    /// With `ketama` some more keys move where libmemcached's rounding changes, one in 40 at most: of 25, 47, 50, 55 and
    /// some larger numbers of servers with equal weights, each has 39 hashes instead of 40.
    pub fn keeps_keys(self) -> bool {
        matches!(self, Hash::Consistent | Hash::Ketama | Hash::Rendezvous)
    }

    /// The hash that spreads keys over the backup servers. With `modulo` and `one_at_a_time`, it is another one: otherwise all
    /// keys of a server could go to the same backup, for instance where there are two servers and two backups.
    pub fn of_backups(self) -> Hash {
        match self {
            Hash::Modulo | Hash::OneAtATime => Hash::Ketama,
            Hash::Consistent | Hash::Ketama | Hash::Rendezvous => self,
        }
    }

    /// The hash with this word.
    pub fn parse(word: &[u8]) -> Option<Hash> {
        Hash::ALL.into_iter().find(|hash| hash.name().as_bytes() == word)
    }
}

/// What servers are spoken to in (`memcache_protocol`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Each in meta if it speaks that, and otherwise in text.
    #[default]
    Auto,
    /// The meta commands of memcached from 1.6.10 on, and nothing else.
    Meta,
    /// The classic text protocol, and nothing else.
    Text,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Protocol; 3] = [Protocol::Auto, Protocol::Meta, Protocol::Text];

    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Auto => "auto",
            Protocol::Meta => "meta",
            Protocol::Text => "text",
        }
    }

    /// The protocol with this word.
    pub fn parse(word: &[u8]) -> Option<Protocol> {
        Protocol::ALL.into_iter().find(|protocol| protocol.name().as_bytes() == word)
    }
}

/// What happens to operations for a server that is down (`memcache_failover`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failover {
    /// They fail at once. Its keys do not move, so nothing stale appears when it returns.
    #[default]
    Off,
    /// The next live server stands in for it. When it returns, it still has its old items, outdated or not.
    Next,
    /// A backup server stands in for it, which has no keys of its own, and where nothing lives long.
    Backup,
}

impl Failover {
    /// All of them.
    pub const ALL: [Failover; 3] = [Failover::Off, Failover::Next, Failover::Backup];

    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Failover::Off => "off",
            Failover::Next => "next",
            Failover::Backup => "backup",
        }
    }

    /// The policy with this word.
    pub fn parse(word: &[u8]) -> Option<Failover> {
        Failover::ALL.into_iter().find(|failover| failover.name().as_bytes() == word)
    }
}
