//! From what was received to replies.

use std::collections::TryReserveError;

use bytes::{Buf, Bytes, BytesMut};

use super::lease::{self, SideEffect};
use super::spare_values::SpareValues;
use super::state::{Awaited, Connection, Reply, Sent};
use crate::id::CallId;
use crate::limits::{BULK, MAX_STATS, READ_CHUNK};
use crate::operation::error::Error;
use crate::operation::key::Key;
use crate::operation::reply::{Answer, Item, Outcome};
use crate::protocol::expect::Expect;
use crate::protocol::line::{Code, Head, Hit, Line, Malformed};
use crate::protocol::number::number;

impl Connection {
    /// Takes the next reply from what was received; `None`: it has not all arrived. `key` finds an operation's key.
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
            // Bytes that nothing was asked for: whatever they are, they are not for the next request.
            let head = self.pending.front().filter(|head| self.sent(head) != Sent::Nothing).ok_or(Malformed::Syntax)?;
            let complete = self.sent(head) == Sent::All;
            let line = self.dialect.line(&mut self.decoder, &self.input, head.expect, head.key.as_deref())?;
            let Some((line, used)) = line else { return Ok(None) };
            let (answer, in_sync) = match line {
                _ if !self.listing.is_empty() && !matches!(line, Line::Stat(_) | Line::End) => {
                    return Err(Malformed::Syntax);
                }
                // Only errors come before the request is there.
                _ if !complete && !matches!(line, Line::ServerError(_) | Line::ClientError(_)) => {
                    return Err(Malformed::Syntax);
                }
                Line::Head(line) => {
                    let own = || head.key.as_deref().or_else(|| head.call.and_then(&key));
                    self.dialect.check(head.expect, head.token, &line, own)?;
                    self.doubtful &= !self.dialect.proves_order(&line);
                    let takes_value = line.code == Code::Value && head.expect.takes_value();
                    // What is stale, or is not there yet, is missing for those who have not asked for a lease.
                    let wanted = !(head.expect.is_get() && line.is_hidden());
                    let fits = line.size <= max_value;
                    let room = if takes_value && wanted && fits { self.room_for(line.size, used) } else { Ok(None) };
                    let side_effect = SideEffect::of(
                        head.expect,
                        head.call.is_some(),
                        head.key.as_deref(),
                        &line,
                        fits && room.is_ok(),
                    );
                    if !takes_value {
                        let outcome = head.expect.outcome(&line)?;
                        self.input.advance(used);
                        return Ok(Some(self.answer(Ok(outcome), true, side_effect)));
                    }
                    let skipped = !wanted || !fits || room.is_err();
                    if skipped {
                        self.decoder.skip(line.size, self.dialect.value_end());
                    } else {
                        self.decoder.want(line.size, self.dialect.value_end());
                    }
                    let large = line.key.filter(|_| line.size > BULK).and_then(|key| Key::from_wire(key, line.binary));
                    let (line, size) = (Head { token: None, key: None, ..line }, line.size);
                    self.awaited = Some(Awaited { line, skipped, no_memory: room.is_err(), side_effect, large });
                    match room {
                        Ok(Some(buffer)) => self.input = buffer,
                        Ok(None) | Err(_) => self.input.advance(used),
                    }
                    self.value_comes(size);
                    return self.value_reply(max_value);
                }
                Line::Stat(text) if head.expect == Expect::Stats => {
                    if self.listing.len().saturating_add(text.len()) >= MAX_STATS {
                        return Err(Malformed::TooLong);
                    }
                    self.listing.extend_from_slice(text);
                    self.listing.extend_from_slice(b"\n");
                    self.input.advance(used);
                    continue;
                }
                Line::End if head.expect == Expect::Stats => {
                    (Ok(Outcome::Text(std::mem::take(&mut self.listing).freeze())), true)
                }
                Line::Version(text) if head.expect == Expect::Version => {
                    (Ok(Outcome::Text(Bytes::copy_from_slice(text))), true)
                }
                Line::Noop if head.expect == Expect::Noop => (Ok(Outcome::Done), true),
                Line::Ok if head.expect == Expect::FlushAll => (Ok(Outcome::Done), true),
                // memcached has read the whole request when it says so, and is where the next one begins.
                Line::ServerError(text) => {
                    let taken = !head.expect.has_body() || self.dialect.has_taken_value(text);
                    // Of what may read the value as requests the next line tells.
                    self.doubtful |= head.expect.has_body() && !self.dialect.has_tokens();
                    (Err(Error::Server(Bytes::copy_from_slice(text))), complete && taken)
                }
                Line::Number(number) if head.expect == Expect::Count => (Ok(Outcome::Number(number)), true),
                // So it has where no value is behind the line. A value may be read as requests next.
                Line::ClientError(text) => {
                    let usual = head.expect == Expect::Count && text.starts_with(b"cannot increment or decrement");
                    if head.expect.is_keyed() && !usual && std::mem::replace(&mut self.doubtful, true) {
                        // Two in a row may both be for the first of two requests.
                        return Err(Malformed::Unclear);
                    }
                    (Err(Error::Client(Bytes::copy_from_slice(text))), complete && !head.expect.has_body())
                }
                _ => return Err(Malformed::Syntax),
            };
            self.input.advance(used);
            return Ok(Some(self.answer(answer, in_sync, None)));
        }
    }

    /// Takes the next reply if it is the item that a get has found, all of it is there, and nothing about it is unusual:
    /// that is what most replies are. `None`: it is for [`next_reply`](Connection::next_reply) to say what comes next.
    #[inline]
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

    fn value_reply(&mut self, limit: usize) -> Result<Option<Reply>, Malformed> {
        let Some(mut value) = self.decoder.value(&mut self.input)? else { return Ok(None) };
        if SpareValues::keeps(value.len()) {
            // The value keeps its large buffer; the connection goes on with one of the usual size.
            self.input = BytesMut::from(&self.input[..]);
            value = self.spare_values.lend(value);
        }
        let Awaited { line, skipped, no_memory, side_effect, large } = self.awaited.take().ok_or(Malformed::Syntax)?;
        let item = || Item { value: value.clone(), flags: line.flags, cas: line.cas };
        let answer = match self.pending.front().map(|p| p.expect) {
            Some(expect) if expect.is_get() && line.is_hidden() => Ok(Outcome::Miss),
            _ if no_memory => Err(Error::NoMemory),
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

    /// A buffer with room for a large value of `size` bytes and its line end, and with what the input has of it behind the
    /// `used` bytes of its line. `None`: the input has room itself, or will get it, as the value is not large.
    fn room_for(&self, size: usize, used: usize) -> Result<Option<BytesMut>, TryReserveError> {
        let size = size.saturating_add(self.dialect.value_end().len());
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
        // Neither of the two copies it.
        Ok(Some(Bytes::from(buffer).into()))
    }
}
