//! Who asks.

use crate::limits::MAX_MODULES;

/// A module that asks, as [`Client::module`](crate::Client::module) has numbered it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ModuleId(u8);

impl ModuleId {
    /// All that have not said which module they are: they count as one.
    pub const UNTAGGED: ModuleId = ModuleId(0);

    /// 0 is [`UNTAGGED`](ModuleId::UNTAGGED), others up to [`MAX_MODULES`] follow in the order in which they were named.
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// A module from any number; one above [`MAX_MODULES`] is untagged.
    pub fn from_index(index: usize) -> Self {
        u8::try_from(index).ok().filter(|_| index <= MAX_MODULES).map_or(ModuleId::UNTAGGED, ModuleId)
    }
}
