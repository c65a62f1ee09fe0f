//! A server's end of a connection.

use std::collections::VecDeque;

use bytes::BytesMut;

/// What goes wrong with the next reply of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mishap {
    Drop,
    Duplicate,
    /// It comes after the one behind it.
    Swap,
    /// These bytes come first.
    Garbage(Vec<u8>),
    /// A get is answered with another key and its item.
    OtherKey,
    /// A store is refused; if `early`, before its value was read.
    Refuse {
        early: bool,
    },
    /// The server does not like the request.
    ClientError,
    /// The connection ends after so many bytes of it.
    Cut(usize),
}

/// The server's end of a connection.
#[derive(Debug, Default)]
pub struct Session {
    pub input: BytesMut,
    pub output: VecDeque<u8>,
    /// A reply that comes after the next one.
    held: Option<Vec<u8>>,
    /// Bytes of a refused value that are still to come.
    pub swallow: usize,
    pub greeted: bool,
    pub authenticated: bool,
    pub mishap: Option<Mishap>,
    /// It hangs up when its output is written.
    pub over: bool,
}

impl Session {
    /// Sends a reply, or what a mishap makes of it.
    pub fn emit(&mut self, reply: Vec<u8>) {
        let held = self.held.take();
        match self.mishap.take() {
            Some(Mishap::Drop) => {}
            Some(Mishap::Duplicate) => {
                self.output.extend(&reply);
                self.output.extend(reply);
            }
            Some(Mishap::Swap) => self.held = Some(reply),
            Some(Mishap::Garbage(bytes)) => {
                self.output.extend(bytes);
                self.output.extend(reply);
            }
            Some(Mishap::Cut(bytes)) => {
                self.output.extend(&reply[..bytes.min(reply.len())]);
                self.over = true;
            }
            other => {
                self.mishap = other;
                self.output.extend(reply);
            }
        }
        self.output.extend(held.unwrap_or_default());
    }

    /// Whether it waits until it can write.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Says something that nobody asked for.
    pub fn blurt(&mut self, bytes: &[u8]) {
        self.output.extend(bytes);
    }
}
