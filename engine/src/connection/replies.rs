//! From received bytes to replies.

use std::collections::TryReserveError;

use bytes::{Buf, Bytes, BytesMut};

use super::lease::{self, SideEffect};
use super::spare_values::SpareValues;
use super::state::{Awaited, Connection, Pending, Reply, Sent};
use crate::id::CallId;
use crate::limits::{BULK, MAX_DISCOVERY, MAX_STATS, READ_CHUNK};
use crate::operation::error::Error;
use crate::operation::key::Key;
use crate::operation::reply::{Answer, Item, Outcome};
use crate::protocol::dialect::Dialect;
use crate::protocol::expect::Expect;
use crate::protocol::line::{Code, Head, Hit, Line, Malformed};
use crate::protocol::number::number;

/// The meaning of a line about an item.
enum HeadLine {
    /// It is the whole reply.
    Whole(Outcome, Option<SideEffect>),
    /// A value follows, into this buffer, or into the current one.
    OfValue(Awaited, Option<BytesMut>),
}

impl Connection {
    /// Takes the next reply; `None`: it is not complete. `key` returns an operation's key.
    #[inline(never)]
    pub fn next_reply<'k>(
        &mut self,
        max_value: usize,
        key: impl Fn(CallId) -> Option<&'k Key>,
    ) -> Result<Option<Reply>, Malformed> {
        self.drop_unsent();
        if self.decoder.in_value() {
            return self.value_reply(max_value);
        }
        loop {
            if self.input.is_empty() {
                return Ok(None);
            }
            // These bytes answer no request. They must not be taken for the reply to the next one.
            let head = self.pending.front().filter(|head| self.sent(head) != Sent::Nothing).ok_or(Malformed::Syntax)?;
            let complete = self.sent(head) == Sent::All;
            let line = self.dialect.line(&mut self.decoder, &self.input, head.expect, head.key.as_deref())?;
            let Some((line, used)) = line else { return Ok(None) };
            let (answer, in_sync) = match line {
                _ if !self.listing.is_empty() && !matches!(line, Line::Stat(_) | Line::End) => {
                    return Err(Malformed::Syntax);
                }
                // Before the request is complete, the server can only send an error.
                _ if !complete && !matches!(line, Line::ServerError(_) | Line::ClientError(_)) => {
                    return Err(Malformed::Syntax);
                }
                Line::Head(line) => {
                    let own = || head.key.as_deref().or_else(|| head.call.and_then(&key));
                    self.dialect.check(head.expect, head.token, &line, own)?;
                    self.doubtful &= !self.dialect.proves_order(&line);
                    return match self.head_line(head, line, used, max_value)? {
                        HeadLine::Whole(outcome, side_effect) => {
                            self.input.advance(used);
                            Ok(Some(self.answer(Ok(outcome), true, side_effect)))
                        }
                        HeadLine::OfValue(awaited, buffer) => {
                            self.await_value(awaited, buffer, used);
                            self.value_reply(max_value)
                        }
                    };
                }
                Line::Stat(text) if head.expect == Expect::Stats => {
                    list(&mut self.listing, text)?;
                    self.input.advance(used);
                    continue;
                }
                Line::End if head.expect == Expect::Stats => {
                    (Ok(Outcome::Text(std::mem::take(&mut self.listing).freeze())), true)
                }
                Line::Servers(size) => {
                    let (awaited, buffer) = self.servers_line(head.expect, size, used);
                    self.await_value(awaited, buffer, used);
                    return self.value_reply(max_value);
                }
                line => plain_line(line, head.expect, self.dialect, complete, &mut self.doubtful)?,
            };
            self.input.advance(used);
            return Ok(Some(self.answer(answer, in_sync, None)));
        }
    }

    /// Takes the next reply if it is the usual hit of a get, and complete, as most replies are. `None`:
    /// [`next_reply`](Connection::next_reply) takes it.
    #[inline(always)]
    pub fn next_item<'k>(
        &mut self,
        max_value: usize,
        key: impl Fn(CallId) -> Option<&'k Key>,
    ) -> Option<(CallId, Item)> {
        let head = self.pending.front()?;
        if !head.expect.is_get() || head.bulk > 0 || self.sent(head) != Sent::All || !self.decoder.is_fresh() {
            return None;
        }
        let call = head.call?;
        let key = key(call).filter(|key| !key.is_binary())?;
        let Hit { whole, line, size, flags, cas } = self.dialect.hit(&self.input, key.raw(), head.token)?;
        if size > max_value.min(READ_CHUNK) {
            return None;
        }
        let mut value = self.input.split_to(whole).freeze();
        value.advance(line);
        value.truncate(size);
        self.answered = self.answered.saturating_add(1);
        self.doubtful = false;
        self.pop();
        Some((call, Item { value, flags, cas }))
    }

    /// The meaning of a line about an item for the head of the FIFO. The fast path for usual replies does not come
    /// here.
    #[inline(never)]
    fn head_line(&self, head: &Pending, line: Head<'_>, used: usize, max_value: usize) -> Result<HeadLine, Malformed> {
        let takes_value = line.code == Code::Value && head.expect.takes_value();
        // A stale item, or one that is being made, is a miss for all but lease gets.
        let wanted = !(head.expect.is_get() && line.is_hidden());
        let fits = line.size <= max_value;
        let room = if takes_value && wanted && fits { self.room_for(head.expect, line.size, used) } else { Ok(None) };
        let usable = fits && room.is_ok();
        let side_effect = SideEffect::of(head.expect, head.call.is_some(), head.key.as_deref(), &line, usable);
        if !takes_value {
            return Ok(HeadLine::Whole(head.expect.outcome(&line)?, side_effect));
        }
        let large = line.key.filter(|_| line.size > BULK).and_then(|key| Key::from_wire(key, line.binary));
        let line = Head { token: None, key: None, ..line };
        let (skipped, no_memory) = (!wanted || !usable, room.is_err());
        Ok(HeadLine::OfValue(Awaited { line, skipped, no_memory, side_effect, large }, room.ok().flatten()))
    }

    /// A list of servers follows, of so many bytes. Its limit is not that of values.
    fn servers_line(&self, expect: Expect, size: usize, used: usize) -> (Awaited, Option<BytesMut>) {
        let fits = size <= MAX_DISCOVERY;
        let room = if fits { self.room_for(expect, size, used) } else { Ok(None) };
        let (skipped, no_memory) = (!fits || room.is_err(), room.is_err());
        let line = Head { size, ..Head::default() };
        (Awaited { line, skipped, no_memory, side_effect: None, large: None }, room.ok().flatten())
    }

    /// A value follows a line of `used` bytes. `buffer` replaces the current input, if there is one.
    fn await_value(&mut self, awaited: Awaited, buffer: Option<BytesMut>, used: usize) {
        let size = awaited.line.size;
        let expect = self.pending.front().map_or(Expect::Nothing, |head| head.expect);
        let end = self.dialect.value_end(expect);
        if awaited.skipped {
            self.decoder.skip(size, end);
        } else {
            self.decoder.want(size, end);
        }
        self.awaited = Some(awaited);
        match buffer {
            Some(buffer) => self.input = buffer,
            None => self.input.advance(used),
        }
        self.value_comes(size);
    }

    fn value_reply(&mut self, limit: usize) -> Result<Option<Reply>, Malformed> {
        let Some(mut value) = self.decoder.value(&mut self.input)? else { return Ok(None) };
        if SpareValues::keeps(value.len()) {
            // The value keeps its large buffer. The connection goes on with one of the usual size.
            self.input = BytesMut::from(&self.input[..]);
            value = self.spare_values.lend(value);
        }
        let Awaited { line, skipped, no_memory, side_effect, large } = self.awaited.take().ok_or(Malformed::Syntax)?;
        let item = || Item { value: value.clone(), flags: line.flags, cas: line.cas };
        let answer = match self.pending.front().map(|p| p.expect) {
            Some(expect) if expect.is_get() && line.is_hidden() => Ok(Outcome::Miss),
            _ if no_memory => Err(Error::NoMemory),
            Some(Expect::Discover(_)) if skipped => Err(Error::TooLarge { size: line.size, limit: MAX_DISCOVERY }),
            Some(Expect::Discover(_)) => Ok(Outcome::Text(value.clone())),
            _ if skipped => Err(Error::TooLarge { size: line.size, limit }),
            Some(Expect::Count) => Ok(Outcome::Number(number(value.trim_ascii_end()).ok_or(Malformed::Syntax)?)),
            Some(Expect::Lease) => Ok(Outcome::Lease(lease::answer(&line, item()))),
            _ => Ok(Outcome::Item(item())),
        };
        let for_nobody = self.pending.front().is_some_and(|head| head.call.is_none());
        if for_nobody {
            self.ahead.wasted(line.size);
        }
        let unwanted = large.filter(|_| for_nobody).map(|key| (key, line.size));
        Ok(Some(Reply { unwanted, ..self.answer(answer, true, side_effect) }))
    }

    fn answer(&mut self, answer: Answer, in_sync: bool, side_effect: Option<SideEffect>) -> Reply {
        self.answered = self.answered.saturating_add(1);
        let call = self.pop().and_then(|p| p.call);
        Reply { call, answer, in_sync, side_effect, unwanted: None }
    }

    /// A buffer with room for a large value of `size` bytes and its line end, with the bytes that follow the line of
    /// `used` bytes. `None`: the value is not large, or the input has room.
    fn room_for(&self, expect: Expect, size: usize, used: usize) -> Result<Option<BytesMut>, TryReserveError> {
        let size = size.saturating_add(self.dialect.value_end(expect).len());
        if size <= READ_CHUNK || size <= self.input.capacity().saturating_sub(used) {
            return Ok(None);
        }
        let begun = self.input.get(used..).unwrap_or_default();
        if let Some(mut buffer) = self.spare_values.take(size) {
            buffer.extend_from_slice(begun);
            return Ok(Some(buffer));
        }
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(size)?;
        buffer.extend_from_slice(begun);
        // Neither conversion copies.
        Ok(Some(Bytes::from(buffer).into()))
    }
}

/// Adds a line to a listing.
#[inline(never)]
fn list(listing: &mut BytesMut, line: &[u8]) -> Result<(), Malformed> {
    if listing.len().saturating_add(line.len()) >= MAX_STATS {
        return Err(Malformed::TooLong);
    }
    listing.extend_from_slice(line);
    listing.extend_from_slice(b"\n");
    Ok(())
}

/// The meaning of a line about no item for this request, and whether the connection stays usable. `complete`: the whole
/// request was written. `doubtful`: see [`Connection`].
#[inline(never)]
fn plain_line(
    line: Line<'_>,
    expect: Expect,
    dialect: Dialect,
    complete: bool,
    doubtful: &mut bool,
) -> Result<(Answer, bool), Malformed> {
    Ok(match line {
        Line::Version(text) if expect == Expect::Version => (Ok(Outcome::Text(Bytes::copy_from_slice(text))), true),
        Line::Noop if expect == Expect::Noop => (Ok(Outcome::Done), true),
        Line::Ok if expect == Expect::FlushAll => (Ok(Outcome::Done), true),
        // It has no list.
        Line::End if matches!(expect, Expect::Discover(_)) => (Ok(Outcome::Miss), true),
        Line::Number(number) if expect == Expect::Count => (Ok(Outcome::Number(number)), true),
        // memcached sends this after it has read the whole request, and reads the next one from its beginning.
        Line::ServerError(text) => {
            let taken = !expect.has_body() || dialect.has_taken_value(text);
            // A server that may read the value as requests shows it in the next line.
            *doubtful |= expect.has_body() && !dialect.has_tokens();
            (Err(Error::Server(Bytes::copy_from_slice(text))), complete && taken)
        }
        // The same holds for a request without a value. Otherwise the server may read the value as requests.
        Line::ClientError(text) => {
            let usual = expect == Expect::Count && text.starts_with(b"cannot increment or decrement");
            if expect.is_keyed() && !usual && std::mem::replace(doubtful, true) {
                // Two errors in a row may both belong to the first of two requests.
                return Err(Malformed::Unclear);
            }
            (Err(Error::Client(Bytes::copy_from_slice(text))), complete && !expect.has_body())
        }
        _ => return Err(Malformed::Syntax),
    })
}
