//! The list of servers that workers share, where it changes while they run.
//!
//! A cluster has lines, and each line that changes has a list of its own. The text has for each such line that is known
//! `= line`, and `+ name address record` for each of its servers, where `-` is no record. `- name record` is a server that has
//! gone, the one that has gone longest first.

use std::collections::HashSet;
use std::net::SocketAddr;

use crate::limits::MAX_RECORDS;

/// A server of a line that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, with its port.
    pub name: String,
    /// Its address.
    pub address: SocketAddr,
    /// The number of its memory in the zone; `None`: it has none.
    pub record: Option<usize>,
}

/// The lists of the lines that change, and the memory of servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// By line: its servers, sorted by name; `None`: they are not known yet.
    lines: Vec<Option<Vec<Member>>>,
    /// Names and memory of servers that have gone, the one that has gone longest first.
    gone: Vec<(String, usize)>,
}

/// The memory of a server begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// Its health: the server returns, or has another address.
    Health(usize),
    /// All of it: it is another server's from now on.
    All(usize),
}

impl Members {
    /// The servers of a line; `None`: they are not known yet.
    pub fn line(&self, line: usize) -> Option<&[Member]> {
        self.lines.get(line)?.as_deref()
    }

    /// A line has these servers from now on, each a name with an address. Returns the memory to renew before the list is
    /// published; `None`: nothing has changed.
    ///
    /// A server that stays or returns keeps its memory. A new one gets memory that nobody had, or else that of the
    /// server that has gone longest.
    pub fn set(&mut self, line: usize, mut servers: Vec<(String, SocketAddr)>) -> Option<Vec<Renewed>> {
        servers.sort();
        let before = self.line(line).unwrap_or_default().to_vec();
        let is_same =
            |(server, member): (&(String, SocketAddr), &Member)| server.0 == member.name && server.1 == member.address;
        if self.line(line).is_some() && servers.len() == before.len() && servers.iter().zip(&before).all(is_same) {
            return None;
        }
        let names: HashSet<&String> = servers.iter().map(|(name, _)| name).collect();
        let left = before.iter().filter(|member| !names.contains(&member.name));
        self.gone.extend(left.filter_map(|member| Some((member.name.clone(), member.record?))));
        if self.lines.len() <= line {
            self.lines.resize(line.saturating_add(1), None);
        }
        let mut renewed = Vec::new();
        let mut members: Vec<Member> = Vec::with_capacity(servers.len());
        // First those that have memory, so that none of them loses it to a new one.
        for (name, address) in servers {
            let known = before.iter().find(|member| member.name == name);
            let record = match known {
                Some(member) => member.record.inspect(|&record| {
                    renewed.extend((member.address != address).then_some(Renewed::Health(record)));
                }),
                None => self.returned(&name).inspect(|&record| renewed.push(Renewed::Health(record))),
            };
            members.push(Member { name, address, record });
        }
        let mut taken = self.taken(line, &members);
        for member in members.iter_mut().filter(|member| member.record.is_none()) {
            let free = (0..MAX_RECORDS).find(|record| !taken.contains(record));
            member.record = free.or_else(|| (!self.gone.is_empty()).then(|| self.gone.remove(0).1));
            taken.extend(member.record);
            renewed.extend(member.record.map(Renewed::All));
        }
        if let Some(line) = self.lines.get_mut(line) {
            *line = Some(members);
        }
        Some(renewed)
    }

    /// The memory of a server that had gone.
    fn returned(&mut self, name: &str) -> Option<usize> {
        let at = self.gone.iter().position(|(gone, _)| gone == name)?;
        Some(self.gone.remove(at).1)
    }

    /// The memory that is taken, where a line has these servers.
    fn taken(&self, line: usize, members: &[Member]) -> HashSet<usize> {
        let others = self.lines.iter().enumerate().filter(|&(other, _)| other != line);
        let others = others.flat_map(|(_, members)| members).flatten().chain(members);
        others.filter_map(|member| member.record).chain(self.gone.iter().map(|&(_, record)| record)).collect()
    }

    /// The text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        for (line, members) in self.lines.iter().enumerate().filter_map(|(line, list)| Some((line, list.as_ref()?))) {
            text += &format!("= {line}\n");
            for Member { name, address, record } in members {
                let record = record.map_or("-".into(), |record| record.to_string());
                text += &format!("+ {name} {address} {record}\n");
            }
        }
        self.gone.iter().fold(text, |text, (name, record)| text + &format!("- {name} {record}\n"))
    }

    /// Reads the text, for so many lines. `None`: it is none.
    pub fn decode(text: &[u8], lines: usize) -> Option<Members> {
        let mut members = Members { lines: vec![None; lines], gone: Vec::new() };
        let mut current = None;
        for line in std::str::from_utf8(text).ok()?.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["=", line] => {
                    let line: usize = line.parse().ok()?;
                    *members.lines.get_mut(line)? = Some(Vec::new());
                    current = Some(line);
                }
                ["+", name, address, record] => {
                    let record = if record == "-" { None } else { Some(record_number(record)?) };
                    let member = Member { name: name.into(), address: address.parse().ok()?, record };
                    members.lines.get_mut(current?)?.as_mut()?.push(member);
                }
                ["-", name, record] => members.gone.push((name.into(), record_number(record)?)),
                _ => return None,
            }
        }
        Some(members)
    }
}

fn record_number(text: &str) -> Option<usize> {
    text.parse().ok().filter(|&record| record < MAX_RECORDS)
}

#[cfg(test)]
mod tests {
    use super::Renewed::{All, Health};
    use super::*;

    fn server(name: &str, port: u16) -> (String, SocketAddr) {
        (name.into(), SocketAddr::from(([10, 0, 0, 1], port)))
    }

    fn records(members: &Members, line: usize) -> Vec<(&str, Option<usize>)> {
        members.line(line).unwrap().iter().map(|member| (&*member.name, member.record)).collect()
    }

    #[test]
    fn servers_keep_their_memory_as_they_come_and_go() {
        let mut members = Members::default();
        assert_eq!(members.line(0), None);
        assert_eq!(members.set(0, vec![server("b", 2), server("a", 1)]), Some(vec![All(0), All(1)]));
        assert_eq!(records(&members, 0), [("a", Some(0)), ("b", Some(1))]);
        assert_eq!(members.set(0, vec![server("a", 1), server("b", 2)]), None, "the order does not matter");
        assert_eq!(members.set(0, vec![server("b", 2), server("c", 3)]), Some(vec![All(2)]), "not that of a");
        assert_eq!(members.set(1, vec![server("d", 4)]), Some(vec![All(3)]), "another line");
        assert_eq!(members.set(0, vec![server("a", 1), server("b", 9)]), Some(vec![Health(0), Health(1)]));
        assert_eq!(records(&members, 0), [("a", Some(0)), ("b", Some(1))], "the same again");
        assert_eq!(Members::decode(members.encode().as_bytes(), 2), Some(members));
    }

    #[test]
    fn memory_is_reused_that_was_not_used_longest_and_then_there_is_none() {
        let mut members = Members::default();
        let all = |from: usize, to: usize| (from..to).map(|n| server(&format!("s{n:03}"), 1)).collect::<Vec<_>>();
        members.set(0, all(0, MAX_RECORDS));
        // Two go, one after the other.
        members.set(0, [all(0, 7), all(8, MAX_RECORDS)].concat());
        members.set(0, [all(0, 3), all(4, 7), all(8, MAX_RECORDS)].concat());
        let next = [all(0, 3), all(4, 7), all(8, MAX_RECORDS + 3)].concat();
        assert_eq!(members.set(0, next), Some(vec![All(7), All(3)]));
        let last = members.line(0).unwrap().last().unwrap();
        assert_eq!((&*last.name, last.record), ("s034", None));
        assert_eq!(Members::decode(members.encode().as_bytes(), 1), Some(members));
    }

    #[test]
    fn a_line_that_is_not_known_is_not_an_empty_one() {
        let mut members = Members::decode(b"", 3).unwrap();
        members.set(1, vec![server("a", 1)]);
        assert_eq!(members.encode(), "= 1\n+ a 10.0.0.1:1 0\n");
        let read = Members::decode(members.encode().as_bytes(), 3).unwrap();
        assert_eq!((read.line(0), read.line(1).map(<[_]>::len), read.line(2)), (None, Some(1), None));
    }

    #[test]
    fn what_is_no_list_is_none() {
        for text in
            ["x", "= 9\n", "+ a 10.0.0.1:1 0\n", "= 0\n+ a nowhere 0\n", "= 0\n+ a 10.0.0.1:1 99\n", "- a 99\n", "\n"]
        {
            assert_eq!(Members::decode(text.as_bytes(), 1), None, "{text}");
        }
    }
}
