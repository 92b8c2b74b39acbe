//! Files in which the kernel says something, read without asking for memory: who reads them may be short of it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Room for one file; what is longer is cut.
pub(crate) struct Buffer([u8; 8192]);

impl Default for Buffer {
    fn default() -> Buffer {
        Buffer([0; 8192])
    }
}

impl Buffer {
    /// What a file says, if it can be read.
    pub(crate) fn read(&mut self, path: &Path) -> Option<&str> {
        let mut file = File::open(path).ok()?;
        let mut len = 0;
        while len < self.0.len() {
            match file.read(&mut self.0[len..]).ok()? {
                0 => break,
                read => len += read,
            }
        }
        std::str::from_utf8(&self.0[..len]).ok()
    }
}

/// The number after a name at the beginning of a line.
pub(crate) fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix([' ', ':']))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
