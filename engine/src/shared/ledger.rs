//! Ownership of memory in a zone.
//!
//! **The rule.** A process may use all memory of the configuration that it was started with, from its fork until it has
//! exited. It does not matter whether it has a slot, has asked for a client, or has run at all. The same is true of a
//! configuration that still exists in the process itself. All other memory may be freed.

use super::key::ServerKey;

/// The processes of a master, and the configuration that each was started with.
#[derive(Debug, Default)]
pub struct Processes {
    known: Vec<(u32, u64)>,
}

impl Processes {
    /// Notes all current processes. New ones were started with the configuration `running`: the one that the master had between
    /// reading two others.
    pub fn update(&mut self, pids: impl IntoIterator<Item = u32>, running: u64) {
        let generation = |pid: u32| self.known.iter().find(|(known, _)| *known == pid).map_or(running, |known| known.1);
        self.known = pids.into_iter().map(|pid| (pid, generation(pid))).collect();
    }

    /// The number of processes.
    pub fn count(&self) -> usize {
        self.known.len()
    }

    /// The configurations that they were started with.
    pub fn generations(&self) -> impl Iterator<Item = u64> + '_ {
        self.known.iter().map(|&(_, generation)| generation)
    }
}

/// The memory of each server, over all configurations that nginx has read. `R` is a piece of memory.
#[derive(Debug)]
pub struct Ledger<R> {
    generation: u64,
    entries: Vec<Entry<R>>,
}

#[derive(Debug)]
struct Entry<R> {
    key: ServerKey,
    record: R,
    /// The first configuration that has it, and the last.
    since: u64,
    used: u64,
}

impl<R: Copy> Default for Ledger<R> {
    fn default() -> Self {
        Ledger { generation: 0, entries: Vec::new() }
    }
}

impl<R: Copy> Ledger<R> {
    /// A new configuration begins; its number.
    pub fn begin(&mut self) -> u64 {
        self.generation = self.generation.saturating_add(1);
        self.generation
    }

    /// The memory with this key, if there is any: the new configuration has it, too.
    pub fn find(&mut self, key: ServerKey) -> Option<R> {
        let entry = self.entries.iter_mut().find(|entry| entry.key == key)?;
        entry.used = self.generation;
        Some(entry.record)
    }

    /// Adds the memory with this key.
    pub fn add(&mut self, key: ServerKey, record: R) {
        self.entries.push(Entry { key, record, since: self.generation, used: self.generation });
    }

    /// Removes the memory that no process may use: see the rule at the top. `in_use` are the configurations of this process and
    /// of others.
    pub fn expire(&mut self, in_use: &[u64]) -> Vec<R> {
        let generation = self.generation;
        let is_used = |entry: &Entry<R>| {
            entry.used >= generation || in_use.iter().any(|user| (entry.since..=entry.used).contains(user))
        };
        let unused = self.entries.iter().filter(|entry| !is_used(entry)).map(|entry| entry.record).collect();
        self.entries.retain(is_used);
        unused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ServerKey = ServerKey([1; 16]);
    const B: ServerKey = ServerKey([2; 16]);

    #[test]
    fn memory_is_kept_while_anybody_may_use_it() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.begin(), 1);
        assert_eq!(ledger.find(A), None);
        ledger.add(A, "a");
        ledger.add(B, "b");

        ledger.begin();
        assert_eq!(ledger.find(A), Some("a"));
        assert_eq!(ledger.expire(&[1, 1]), [""; 0], "the configuration that runs has b");

        // That configuration was not taken after all; the next one is.
        ledger.begin();
        assert_eq!(ledger.find(A), Some("a"));
        assert_eq!(ledger.expire(&[1, 1]), [""; 0]);

        ledger.begin();
        assert_eq!(ledger.find(A), Some("a"));
        assert_eq!(ledger.expire(&[3, 1]), [""; 0], "a worker of the first one is still there");

        ledger.begin();
        assert_eq!(ledger.find(A), Some("a"));
        assert_eq!(ledger.expire(&[4, 3]), ["b"]);
        assert_eq!(ledger.find(B), None);
    }

    #[test]
    fn a_worker_does_not_keep_what_it_never_had() {
        let mut ledger = Ledger::default();
        ledger.begin();
        ledger.add(A, "a");
        ledger.begin();
        ledger.add(B, "b");
        ledger.begin();
        assert_eq!(ledger.expire(&[1, 2]), [""; 0]);
        ledger.begin();
        assert_eq!(ledger.expire(&[1, 3]), ["b"], "it came later");
    }

    #[test]
    fn r8_processes_belong_to_what_ran_when_they_were_started() {
        let mut processes = Processes::default();
        processes.update([], 0);
        processes.update([10, 11], 1);
        processes.update([10, 11, 12], 2);
        assert_eq!(processes.generations().collect::<Vec<_>>(), [1, 1, 2]);
        // Configuration 3 was not taken: what has crashed meanwhile was replaced with that of before.
        processes.update([10, 12, 13], 2);
        assert_eq!(processes.generations().collect::<Vec<_>>(), [1, 2, 2]);
        processes.update([13, 14], 4);
        assert_eq!((processes.generations().collect::<Vec<_>>(), processes.count()), (vec![2, 4], 2));
    }
}
