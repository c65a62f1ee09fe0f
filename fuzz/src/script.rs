//! The language of the inputs.
//!
//! A command is a byte, its arguments are the bytes behind it; what is no command is passed over. So inputs are short
//! text: a seed can be read and written by hand, whatever a mutation makes of it is another list of commands, and a
//! command more does not change what the old inputs mean.

pub struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    pub fn new(rest: &'a [u8]) -> Self {
        Script { rest }
    }

    /// The next byte that is neither a blank nor in a comment, which is from `#` to the end of the line.
    pub fn command(&mut self) -> Option<u8> {
        loop {
            match self.take()? {
                b' ' | b'\n' => {}
                b'#' => while self.take()? != b'\n' {},
                byte => return Some(byte),
            }
        }
    }

    /// An argument: a byte as it is. Behind the end there are zeros.
    pub fn letter(&mut self) -> u8 {
        self.take().unwrap_or(b'0')
    }

    /// An argument: a digit stands for its number, any other byte for itself.
    pub fn number(&mut self) -> usize {
        match self.letter() {
            digit @ b'0'..=b'9' => usize::from(digit - b'0'),
            byte => usize::from(byte),
        }
    }

    /// An argument: one of these, by its number.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.number() % of.len()]
    }

    /// Bytes up to a quotation mark.
    pub fn quoted(&mut self) -> &'a [u8] {
        let end = self.rest.iter().position(|&b| b == b'"').unwrap_or(self.rest.len());
        let (quoted, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        quoted
    }

    fn take(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }
}
