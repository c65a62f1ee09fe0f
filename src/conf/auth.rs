//! `memcache_auth_file`.

#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use memcache_engine::Credentials;

use super::ssl::text;
use crate::nginx::conf::{Conf, LineError};
use crate::nginx::secret::Secret;

/// The bits of a mode that are for everybody.
const OTHERS: u32 = 0o007;

/// `memcache_auth_file path`: user and password of that file, as memcached's `-Y` has it; an empty path is none.
///
/// The file is read here, as the user that starts nginx, and by the workers never. What is logged has no byte of it.
pub fn file(line: &Conf<'_>) -> Result<Option<Credentials>, LineError> {
    if text(line)?.is_empty() {
        return Ok(None);
    }
    let path = line.full_name().ok_or(LineError::Logged)?;
    let name = path.as_os_str().as_bytes().escape_ascii();
    let failed = |call: &str, e: io::Error| LineError::Text(format!("{call} \"{name}\" failed ({})", of_system(&e)));
    // Not to wait for what is on the other side of a pipe.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path);
    let mut file = opened.map_err(|e| failed("open()", e))?;
    let about = file.metadata().map_err(|e| failed("fstat()", e))?;
    if !about.is_file() {
        return Err(LineError::Text(format!("\"{name}\" is not a regular file")));
    }
    let secret = Secret::read(&mut file).map_err(|e| failed("read()", e))?;
    let edition = format!(" {} {} {}.{}", about.dev(), about.ino(), about.ctime(), about.ctime_nsec());
    let credentials = Credentials::parse(secret, edition)
        .map_err(|e| LineError::Text(format!("invalid credentials in \"{name}\": {e}")))?;
    if about.mode() & OTHERS != 0 {
        line.warn(format_args!("\"{name}\" is accessible by others"));
    }
    Ok(Some(credentials))
}

/// The system's error as nginx writes it.
fn of_system(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    error.raw_os_error().map_or_else(|| text.into(), |number| format!("{number}: {text}"))
}
