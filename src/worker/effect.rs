//! Lines that may have no effect.

#![forbid(unsafe_code)]

use crate::nginx::conf::Position;

/// Whether a line has an effect in a block.
pub struct Effect {
    /// Whether there is one.
    pub is_there: bool,
    /// Why not, with the name of the directive.
    pub why: String,
    /// The line.
    pub position: Position,
}

/// What is known of such lines. A line that others inherit needs an effect in one of their blocks only.
#[derive(Default)]
pub struct Effects(Vec<Effect>);

impl Effects {
    /// Takes what another block says.
    pub fn extend(&mut self, effects: impl Iterator<Item = Effect>) {
        for effect in effects {
            match self.0.iter_mut().find(|known| known.position == effect.position && known.why == effect.why) {
                Some(known) => known.is_there |= effect.is_there,
                None => self.0.push(effect),
            }
        }
    }

    /// Those without an effect in any block, and why.
    pub fn missing(&self) -> impl Iterator<Item = (&str, &Position)> {
        self.0.iter().filter(|effect| !effect.is_there).map(|effect| (&*effect.why, &effect.position))
    }
}
