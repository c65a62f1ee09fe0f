//! The modules that have said who they are.

#![forbid(unsafe_code)]

use memcache_engine::{ModuleId, MAX_MODULES};

use super::Driver;
use crate::nginx::cycle::Cycle;
use crate::nginx::module::Address;

impl Driver {
    /// The number of the module at this address. `None`: nginx has none there.
    pub fn module(&self, module: Address) -> Option<ModuleId> {
        let known = self.modules.borrow().iter().find(|(known, _)| *known == module).map(|&(_, id)| id);
        known.or_else(|| self.learn_module(module))
    }

    /// Whether a module has this number.
    pub fn has_module(&self, id: ModuleId) -> bool {
        id == ModuleId::UNTAGGED || self.modules.borrow().iter().any(|&(_, known)| known == id)
    }

    #[cold]
    fn learn_module(&self, module: Address) -> Option<ModuleId> {
        let name = Cycle::current()?.module_name(module)?;
        let Some(id) = self.with(|client| client.module(name))? else {
            if !self.too_many_modules.replace(true) {
                self.log.warn(format_args!(
                    "memcache: more than {MAX_MODULES} modules use a client, \"{}\" counts as one that has not said who \
                     it is",
                    name.escape_ascii()
                ));
            }
            return Some(ModuleId::UNTAGGED);
        };
        self.modules.borrow_mut().push((module, id));
        Some(id)
    }
}
