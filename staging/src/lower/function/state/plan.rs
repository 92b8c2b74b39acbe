//! The plan of a function's frame in the arena: buffers that are not alive at the same time share room, and a buffer is
//! alive as long as a value that is to be read is in it.

use std::collections::HashMap;

use crate::ir::ids::Value;

/// Buffers begin at multiples of this, a cache line.
pub const ALIGNMENT: u64 = 64;

/// A function's buffers, planned in the order in which its code is emitted. Places are bytes from the start of the
/// frame.
///
/// Each buffer that is alive has a tenant: a value, the function itself, or a [`Scratch`].
#[derive(Default)]
pub struct FramePlan {
    frame: Frame,
    /// The buffer that a value is in, or was in when it was last read.
    of: HashMap<Value, Buffer>,
    /// How many values that are yet to be read are in a buffer.
    tenants: HashMap<Buffer, usize>,
}

/// Memory that was taken for as long as one operator is emitted.
#[must_use = "it is to be given back"]
pub struct Scratch(Buffer);

impl FramePlan {
    /// The place of so many bytes that the function needs to its end.
    pub fn keep(&mut self, bytes: u64) -> u64 {
        self.frame.place(bytes).1
    }
    /// The place of so many bytes that are needed until they are given back.
    pub fn scratch(&mut self, bytes: u64) -> (Scratch, u64) {
        let (buffer, at) = self.frame.place(bytes);
        (Scratch(buffer), at)
    }
    /// Nothing reads what was in it any more.
    pub fn give_back(&mut self, scratch: Scratch) {
        self.frame.free(scratch.0);
    }
    /// The place of a buffer of so many bytes, for a value.
    pub fn allot(&mut self, v: Value, bytes: u64) -> u64 {
        let (buffer, at) = self.frame.place(bytes);
        self.of.insert(v, buffer);
        self.tenants.insert(buffer, 1);
        at
    }
    /// A value is in the buffer of another, if that is in one.
    pub fn share(&mut self, v: Value, with: Value) {
        if let Some(&buffer) = self.of.get(&with) {
            self.of.insert(v, buffer);
            *self.tenants.get_mut(&buffer).expect("a value is in it") += 1;
        }
    }
    /// A value is not read any more.
    pub fn leave(&mut self, v: Value) {
        let Some(buffer) = self.of.get(&v) else { return };
        let tenants = self.tenants.get_mut(buffer).expect("a value is in it");
        *tenants -= 1;
        if *tenants == 0 {
            self.frame.free(*buffer);
        }
    }
    /// Whether a value is in a buffer.
    pub fn hold(&self, v: Value) -> bool {
        self.of.contains_key(&v)
    }
    /// Bytes that the whole frame takes.
    pub fn size(&self) -> u64 {
        self.frame.size
    }
}

/// A buffer of a [`Frame`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Buffer(usize);

#[derive(Default)]
struct Frame {
    /// Start and length of all buffers ever placed, and whether each is alive.
    buffers: Vec<(u64, u64, bool)>,
    size: u64,
}

impl Frame {
    /// A place for so many bytes, at the lowest offset at which nothing alive is.
    fn place(&mut self, bytes: u64) -> (Buffer, u64) {
        let bytes = bytes.max(1).next_multiple_of(ALIGNMENT);
        let mut alive: Vec<(u64, u64)> =
            self.buffers.iter().filter(|b| b.2).map(|&(start, len, _)| (start, len)).collect();
        alive.sort_unstable();
        let mut start = 0;
        for (from, len) in alive {
            if start + bytes <= from {
                break;
            }
            start = start.max(from + len);
        }
        self.buffers.push((start, bytes, true));
        self.size = self.size.max(start + bytes);
        (Buffer(self.buffers.len() - 1), start)
    }
    /// Nothing reads the buffer from here on.
    fn free(&mut self, buffer: Buffer) {
        self.buffers[buffer.0].2 = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::ids::EntityRef;

    #[test]
    fn what_is_alive_at_the_same_time_does_not_overlap_and_what_is_freed_is_used_again() {
        let mut buffers = FramePlan::default();
        let [a, b, c] = [0, 1, 2].map(Value::new);
        assert_eq!((buffers.allot(a, 100), buffers.keep(64)), (0, 128));
        buffers.share(b, a);
        buffers.leave(a);
        assert_eq!(buffers.allot(c, 65), 192, "the first buffer has a second tenant");
        buffers.leave(b);
        let (scratch, at) = buffers.scratch(65);
        assert_eq!(at, 0);
        buffers.give_back(scratch);
        assert_eq!((buffers.keep(128), buffers.keep(1)), (0, 320));
        assert_eq!(buffers.size(), 384);
    }
}
