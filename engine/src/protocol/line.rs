//! Lines of replies, in terms of all dialects.

/// The longest line of a reply, in bytes, without its line end. Longer ones violate the protocol: a key has 250 bytes,
/// a flag at most 21, an error text of memcached less than 1 KiB.
pub const MAX_LINE: usize = 8192;

/// The largest value that is skipped if it exceeds `memcache_max_value`: memcached's own maximum (`-I 1g`).
pub(super) const MAX_ITEM: usize = 1024 * 1024 * 1024;

/// A violation of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// Other bytes were expected.
    Syntax,
    /// A line, or the lines of statistics, are longer than allowed.
    TooLong,
    /// It may be the answer to another request.
    Unclear,
}

/// The result in a reply. Backquotes: its form in meta.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Code {
    /// `HD`: done.
    #[default]
    Done,
    /// `VA`: done, and a value follows.
    Value,
    /// `EN`: a miss of `mg`.
    Miss,
    /// `NF`: a miss of the others.
    NotFound,
    /// `NS`: not stored.
    NotStored,
    /// `EX`: the version differs.
    Exists,
}

/// A line about an item, with its fields. Backquotes: the flags of meta.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub code: Code,
    /// Bytes of the value: the one that follows a `VA`, or from the flag `s`.
    pub size: usize,
    /// `O`
    pub token: Option<u64>,
    /// `k`, and whether `b` marks it as encoded.
    pub key: Option<&'a [u8]>,
    pub binary: bool,
    /// `f`
    pub flags: u32,
    /// `c`
    pub cas: u64,
    /// `W`: this request got the lease.
    pub won: bool,
    /// `Z`: another request has the lease.
    pub leased: bool,
    /// `X`
    pub stale: bool,
    /// `t`; `None`: the item does not expire.
    pub ttl: Option<u32>,
    /// `l`
    pub idle: u32,
    /// `h`
    pub fetched: bool,
}

/// A line of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Head(Head<'a>),
    /// `MN`
    Noop,
    /// `OK`
    Ok,
    /// `VERSION text`
    Version(&'a [u8]),
    /// A counter's new value, on a line of its own.
    Number(u64),
    /// `STAT name value`
    Stat(&'a [u8]),
    /// `CONFIG cluster flags size`, or a `VALUE` with the same meaning: a list of servers follows, of so many bytes.
    Servers(usize),
    /// `END`
    End,
    /// `SERVER_ERROR text`
    ServerError(&'a [u8]),
    /// `CLIENT_ERROR text`, or `ERROR`
    ClientError(&'a [u8]),
}

/// The usual reply to a get that hits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    /// Bytes of the whole reply.
    pub whole: usize,
    /// Bytes of the line, with its end.
    pub line: usize,
    /// Bytes of the value. The value and its line end are complete.
    pub size: usize,
    pub flags: u32,
    pub cas: u64,
}

impl Head<'_> {
    /// Whether it is the empty item of a lease.
    pub fn is_vacant(&self) -> bool {
        self.size == 0 && (self.won || self.leased)
    }

    /// Whether it is a miss for all but lease gets.
    pub fn is_hidden(&self) -> bool {
        self.stale || self.is_vacant()
    }
}
