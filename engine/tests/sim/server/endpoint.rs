//! A memcached that knows the servers of its cluster, as a configuration endpoint does.

use super::Server;

/// The servers that the one with this number names, and no other one.
pub fn list(id: usize) -> String {
    let nodes: Vec<_> = (0..=100 * (id % 3)).map(|n| format!("n{n}.s{id}.example|10.0.{id}.{n}|11211")).collect();
    format!("{id}\n{}\n", nodes.join(" "))
}

impl Server {
    /// The answer to the question for its servers; `None`: this is another one.
    pub(super) fn discover(&self, id: usize, text: &[u8]) -> Option<Vec<u8>> {
        let head = match text {
            b"config get cluster" if id % 2 == 1 => return Some(b"ERROR\r\n".to_vec()),
            b"config get cluster" => "CONFIG cluster",
            b"get AmazonElastiCache:cluster" if id % 4 == 3 => return Some(b"END\r\n".to_vec()),
            b"get AmazonElastiCache:cluster" => "VALUE AmazonElastiCache:cluster",
            _ => return None,
        };
        let list = list(id);
        Some(format!("{head} 0 {}\r\n{list}\r\nEND\r\n", list.len()).into_bytes())
    }
}
