//! Whether the backup servers of a list fit its other settings.

use thiserror::Error;

use super::choice::Failover;
use super::cluster::{Config, ServerConfig};

/// An error about backup servers; `nginx -t` prints the text.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BackupError {
    /// No operation would ever go to this one.
    #[error("memcache server \"{name}\" is a \"backup\", which needs \"memcache_failover backup\"")]
    Unused {
        /// Its name.
        name: String,
        /// An index in [`Config::servers`].
        server: usize,
    },
    /// Operations are to go to a backup server, and there is none.
    #[error("\"memcache_failover backup\" needs a \"memcache_server\" that is a \"backup\"")]
    Missing,
    /// No server has keys.
    #[error("all memcache servers of the list are \"backup\"")]
    Only,
}

impl BackupError {
    /// The server that is to blame: an index in [`Config::servers`].
    pub fn server(&self) -> usize {
        match *self {
            BackupError::Unused { server, .. } => server,
            BackupError::Missing | BackupError::Only => 0,
        }
    }
}

impl Config {
    /// Whether there are backup servers if, and only if, they are used. A client must not be made if all are.
    pub fn check_backups(&self) -> Result<(), BackupError> {
        let first = self.servers.iter().position(|server| server.backup);
        match first.and_then(|first| Some((first, self.servers.get(first)?))) {
            None if self.failover == Failover::Backup => Err(BackupError::Missing),
            None => Ok(()),
            Some((server, config)) if self.failover != Failover::Backup => {
                Err(BackupError::Unused { name: config.name.escape_ascii().to_string(), server })
            }
            Some(_) if has_only_backups(&self.servers) => Err(BackupError::Only),
            Some(_) => Ok(()),
        }
    }
}

/// Whether no server of the list has keys of its own.
pub(super) fn has_only_backups(servers: &[ServerConfig]) -> bool {
    servers.iter().all(|server| server.backup)
}

#[cfg(test)]
mod tests {
    use super::super::params::ServerParams;
    use super::*;

    #[test]
    fn c43_backup_servers_are_there_if_they_are_used() {
        let (pool, weight) = ServerParams::default().finish().unwrap();
        let server = |(n, &backup): (usize, &bool)| ServerConfig {
            name: format!("s{n}:1").into(),
            addresses: 1,
            pool,
            weight,
            backup,
        };
        let check = |failover, backups: &[bool]| {
            let config = Config { failover, ..Config::new(backups.iter().enumerate().map(server).collect()) };
            config.check_backups()
        };
        for failover in [Failover::Off, Failover::Next] {
            assert_eq!(check(failover, &[false, false]), Ok(()));
            let unused = Err(BackupError::Unused { name: "s1:1".into(), server: 1 });
            assert_eq!(check(failover, &[false, true, true]), unused);
        }
        assert_eq!(check(Failover::Backup, &[false, true]), Ok(()));
        assert_eq!(check(Failover::Backup, &[true, false]), Ok(()));
        assert_eq!(check(Failover::Backup, &[false, false]), Err(BackupError::Missing));
        assert_eq!(check(Failover::Backup, &[true, true]), Err(BackupError::Only));
    }
}
