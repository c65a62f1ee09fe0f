//! Who makes an item, where nobody has it or where it is stale.

use std::time::Duration;

use bytes::Bytes;
use memcache_engine::Instant;

use super::{Server, BACKUP_TTL, LIVES};
use crate::checks::{Ledger, Version};
use crate::command::Command;

impl Server {
    /// Nobody has the item: the first one who asks makes it.
    pub(super) fn lease(&mut self, command: &Command, now: Instant) -> Vec<u8> {
        let holder = self.vacant.get(&command.key).filter(|(_, until)| *until > now);
        let (version, mark) = match holder {
            Some(&(version, _)) => (version, "Z"),
            None => {
                self.versions += 1;
                let until = now.after(Duration::from_millis(300));
                self.vacant.insert(command.key.clone(), (self.versions, until));
                (self.versions, "W")
            }
        };
        let empty = Version { cas: version, flags: 0, value: Bytes::new(), stale: false };
        let (code, end) = if command.flag('v').is_some() { ("VA 0", "\r\n") } else { ("HD", "") };
        let mut reply = command.naming_as_it_is().echo(code, Some(&empty), &command.key);
        reply.truncate(reply.len() - 2);
        reply.extend(format!(" {mark}\r\n{end}").into_bytes());
        reply
    }

    /// Somebody asks for a stale item: the first one makes it, whatever it was that asked.
    pub(super) fn stale(&mut self, command: &Command, item: &Version) -> Vec<u8> {
        let mark = if self.leased.insert(item.cas) { "W" } else { "Z" };
        let with_value = command.flag('v').is_some();
        let code = if with_value { format!("VA {}", item.value.len()) } else { "HD".into() };
        let mut reply = command.echo(&code, Some(item), &command.key);
        reply.truncate(reply.len() - 2);
        reply.extend(format!(" {mark} X\r\n").into_bytes());
        if with_value {
            reply.extend_from_slice(&item.value);
            reply.extend(b"\r\n");
        }
        reply
    }

    /// Removes an item, or marks it as stale.
    pub(super) fn delete_or_mark(&mut self, command: &Command, ledger: &mut Ledger, now: Instant) -> Vec<u8> {
        let Some(item) = self.items.get_mut(&command.key) else {
            let handed_back = |&(version, _): &(u64, Instant)| command.number('C') == Some(version);
            if self.vacant.get(&command.key).is_some_and(handed_back) {
                self.vacant.remove(&command.key);
                ledger.vacated(&command.key, now);
                return command.line("HD");
            }
            return command.line("NF");
        };
        if command.number('C').is_some_and(|cas| cas != item.cas) {
            return command.line("EX");
        }
        if command.flag('I').is_some() {
            // With a life it is the client's own that hands a lease back.
            let own = |life| life >= LIVES || self.backup && life == BACKUP_TTL;
            assert!(command.number('T').is_none_or(own), "who marks an item gives it no life here");
            self.versions += 1;
            (item.cas, item.stale) = (self.versions, true);
            let version = item.clone();
            ledger.changed(self.id, &command.key, Some(version), now);
        } else {
            self.items.remove(&command.key);
            ledger.changed(self.id, &command.key, None, now);
        }
        command.line("HD")
    }
}
