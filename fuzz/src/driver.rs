//! What every driver does, with a look at the memory that it takes.

use std::io::IoSlice;

use memcache_engine::{Client, ConnId, Instant, MAX_LINE};

/// Room for one read.
const CHUNK: usize = 16 * 1024;
/// The client encodes ahead until so many bytes wait to be written.
const AHEAD: usize = 64 * 1024;

/// What the connection has to write, as much as a few slices hold.
pub fn offered(client: &mut Client<u64>, conn: ConnId) -> Vec<u8> {
    let most = AHEAD + client.config().max_value + 1024;
    let mut slices = [IoSlice::new(&[]); 8];
    let used = client.transmit(conn, &mut slices);
    let mut bytes = Vec::new();
    slices[..used].iter().for_each(|slice| bytes.extend_from_slice(slice));
    assert!(bytes.len() <= most, "{} bytes wait to be written", bytes.len());
    bytes
}

/// Bytes arrive, as many as the client has room for; those that are left are given back. `None`: there is no such
/// connection.
pub fn receive<'b>(client: &mut Client<u64>, conn: ConnId, bytes: &'b [u8], now: Instant) -> Option<&'b [u8]> {
    // A line, and the largest value.
    let most = MAX_LINE + 2 * CHUNK + client.config().max_value;
    let buffer = client.read_buffer(conn)?;
    let (len, capacity) = (buffer.len(), buffer.capacity());
    assert!(capacity > len, "no room to read into");
    assert!(capacity <= most, "a read buffer of {capacity} bytes; {most} are enough");
    let (taken, left) = bytes.split_at(bytes.len().min(capacity - len));
    buffer.extend_from_slice(taken);
    client.received(conn, taken.len(), now);
    Some(left)
}

/// How many leases these bytes bring, at most: each that nobody can use is handed back by an operation of the client's
/// own, which is pending too.
pub fn leases(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'W', bytes).count()
}
