//! The lines of replies, in terms that all dialects have.

/// The longest line of a reply, in bytes, without its line end. Longer ones are not the protocol: a key has 250 bytes,
/// a flag at most 21, an error text of memcached less than 1 KiB.
pub const MAX_LINE: usize = 8192;

/// The largest value that is skipped when it is larger than the configuration allows: memcached's own maximum (`-I 1g`).
pub(super) const MAX_ITEM: usize = 1024 * 1024 * 1024;

/// The bytes are not what the protocol allows here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// Other bytes were due.
    Syntax,
    /// More bytes than a reply may have: a line, or the lines of statistics.
    TooLong,
    /// It may be the answer to another request than the one that is due.
    Unclear,
}

/// What a reply says of the operation; in backquotes how meta says it.
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

/// A line about an item, with what it says of it; in backquotes the flags of meta.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub code: Code,
    /// Bytes of the value: the one that follows a `VA`, or as the flag `s` says.
    pub size: usize,
    /// `O`
    pub token: Option<u64>,
    /// `k`, and whether `b` says that it is encoded.
    pub key: Option<&'a [u8]>,
    pub binary: bool,
    /// `f`
    pub flags: u32,
    /// `c`
    pub cas: u64,
    /// `W`: the caller has to make the item anew.
    pub won: bool,
    /// `Z`: another one was told so.
    pub leased: bool,
    /// `X`
    pub stale: bool,
    /// `t`; `None`: it does not expire.
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
    /// A counter's new value, where it has a line of its own.
    Number(u64),
    /// `STAT name value`
    Stat(&'a [u8]),
    /// `END`
    End,
    /// `SERVER_ERROR text`
    ServerError(&'a [u8]),
    /// `CLIENT_ERROR text`, or `ERROR`
    ClientError(&'a [u8]),
}

/// The item that a get has found, where its reply has all that is expected, in the usual form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    /// Bytes of all of it.
    pub whole: usize,
    /// Bytes of the line, its end included.
    pub line: usize,
    /// Bytes of the value; these, and the line end behind them, are there.
    pub size: usize,
    pub flags: u32,
    pub cas: u64,
}

impl Head<'_> {
    /// Whether it is not an item but its place, which somebody was told to fill.
    pub fn is_vacant(&self) -> bool {
        self.size == 0 && (self.won || self.leased)
    }

    /// Whether it is there for leases alone, and missing for all others.
    pub fn is_hidden(&self) -> bool {
        self.stale || self.is_vacant()
    }
}
