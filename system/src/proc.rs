//! Files in which the kernel says something, read without asking for memory: who reads them may be short of it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Room for one file; what is longer is cut.
pub(crate) struct Buffer {
    bytes: [u8; 8192],
    /// Whether a file is there and could not be read: for want of descriptors or memory, say.
    pub(crate) starved: bool,
}

impl Default for Buffer {
    fn default() -> Buffer {
        Buffer { bytes: [0; 8192], starved: false }
    }
}

impl Buffer {
    /// What a file says, if it can be read.
    pub(crate) fn read(&mut self, path: &Path) -> Option<&str> {
        match self.fill(path) {
            Ok(len) => std::str::from_utf8(&self.bytes[..len]).ok(),
            Err(error) => {
                self.starved |= is_starved(&error);
                None
            }
        }
    }

    fn fill(&mut self, path: &Path) -> io::Result<usize> {
        let mut file = File::open(path)?;
        let mut len = 0;
        while len < self.bytes.len() {
            match file.read(&mut self.bytes[len..])? {
                0 => break,
                read => len += read,
            }
        }
        Ok(len)
    }
}

/// Whether the process lacks what it takes to read a file. That a file is not there, or not for this process, is an
/// answer.
pub(crate) fn is_starved(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EINTR))
}

/// The number after a name at the beginning of a line.
pub(crate) fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix([' ', ':']))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
