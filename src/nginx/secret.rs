//! Memory for a secret.

#![allow(unsafe_code)]

use core::ptr::{null_mut, NonNull};
use core::slice;
use std::fs::File;
use std::io::{self, Read};

use libc::{MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE};

/// The bytes of a file that is secret, in pages of their own.
///
/// A core dump has none of these pages (on Linux), those of workers included: they inherit them. When the value is dropped,
/// the system takes the pages back, and clears them before anybody gets them.
pub struct Secret {
    pages: NonNull<u8>,
    len: usize,
}

/// The memory of each, in bytes. It is more than any of them may have.
const ROOM: usize = 4096;

impl Secret {
    /// Reads the file, or so much of it as there is room for. There is no other copy.
    pub fn read(file: &mut File) -> io::Result<Secret> {
        let mut secret = Secret::map()?;
        // SAFETY: these are our pages; they are readable from the beginning, as zeros.
        let room = unsafe { slice::from_raw_parts_mut(secret.pages.as_ptr(), ROOM) };
        while let Some(rest) = room.get_mut(secret.len..).filter(|rest| !rest.is_empty()) {
            match file.read(rest) {
                Ok(0) => break,
                Ok(n) => secret.len = secret.len.saturating_add(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(secret)
    }

    fn map() -> io::Result<Secret> {
        // SAFETY: new pages, wherever the system wants them.
        let pages = unsafe { libc::mmap(null_mut(), ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) };
        let pages = NonNull::new(pages).filter(|pages| pages.as_ptr() != MAP_FAILED);
        let pages = pages.ok_or_else(io::Error::last_os_error)?;
        #[cfg(target_os = "linux")]
        // SAFETY: they are ours. If the system cannot do it, they are as other memory.
        unsafe {
            libc::madvise(pages.as_ptr(), ROOM, libc::MADV_DONTDUMP);
        }
        Ok(Secret { pages: pages.cast(), len: 0 })
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        // SAFETY: `map` has mapped them, and nobody refers to them any more.
        unsafe {
            libc::munmap(self.pages.as_ptr().cast(), ROOM);
        }
    }
}

impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `len` is at most `ROOM`; the pages are there as long as the value.
        unsafe { slice::from_raw_parts(self.pages.as_ptr(), self.len) }
    }
}

impl AsMut<[u8]> for Secret {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and nobody else refers to them.
        unsafe { slice::from_raw_parts_mut(self.pages.as_ptr(), self.len) }
    }
}

// SAFETY: the pages belong to the value alone, whatever the thread.
unsafe impl Send for Secret {}
