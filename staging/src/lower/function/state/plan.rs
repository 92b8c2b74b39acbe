//! The plan of a function's buffers in the arena: buffers that are not alive at the same time share room. A buffer is
//! alive as long as something is in it: a value until its last reader, what the function itself keeps to its end.

use std::collections::{BTreeMap, HashMap};

use crate::ir::ids::Value;

/// Buffers begin at multiples of this, a cache line.
pub const ALIGNMENT: u64 = 64;

/// A function's buffers, planned in the order in which its code is emitted. Places are bytes from the start of the
/// first.
///
/// Those that are alive do not overlap. Each has tenants: values that are in it, the function itself, or a [`Scratch`].
#[derive(Default)]
pub struct BufferPlan {
    /// The buffers that are alive, by their places.
    alive: BTreeMap<u64, Buffer>,
    /// The place of the buffer that a value is in.
    of: HashMap<Value, u64>,
    size: u64,
}

/// A buffer that is alive.
struct Buffer {
    bytes: u64,
    tenants: usize,
}

/// Memory that was taken for as long as one operator is emitted.
#[must_use = "it is to be given back"]
pub struct Scratch(u64);

impl BufferPlan {
    /// A buffer with one tenant, at the lowest place at which nothing alive is.
    fn place(&mut self, bytes: u64) -> u64 {
        let bytes = bytes.max(1).next_multiple_of(ALIGNMENT);
        let mut at = 0;
        for (&from, buffer) in &self.alive {
            if at + bytes <= from {
                break;
            }
            at = from + buffer.bytes;
        }
        self.alive.insert(at, Buffer { bytes, tenants: 1 });
        self.size = self.size.max(at + bytes);
        at
    }
    fn remove_tenant(&mut self, at: u64) {
        let buffer = self.alive.get_mut(&at).expect("what has a tenant is alive");
        buffer.tenants -= 1;
        if buffer.tenants == 0 {
            self.alive.remove(&at);
        }
    }

    /// The place of so many bytes that the function needs to its end.
    pub fn keep(&mut self, bytes: u64) -> u64 {
        self.place(bytes)
    }
    /// The place of so many bytes that are needed until they are given back.
    pub fn scratch(&mut self, bytes: u64) -> (Scratch, u64) {
        let at = self.place(bytes);
        (Scratch(at), at)
    }
    /// Nothing reads what was in it any more.
    pub fn give_back(&mut self, scratch: Scratch) {
        self.remove_tenant(scratch.0);
    }
    /// The place of a buffer of so many bytes, for a value.
    pub fn allot(&mut self, v: Value, bytes: u64) -> u64 {
        let at = self.place(bytes);
        self.of.insert(v, at);
        at
    }
    /// A value is in the buffer of another, if that is in one.
    pub fn share(&mut self, v: Value, with: Value) {
        if let Some(&at) = self.of.get(&with) {
            self.of.insert(v, at);
            self.alive.get_mut(&at).expect("a value is in it").tenants += 1;
        }
    }
    /// A value is not read any more.
    pub fn leave(&mut self, v: Value) {
        if let Some(at) = self.of.remove(&v) {
            self.remove_tenant(at);
        }
    }
    /// Whether a value is in a buffer.
    pub fn hold(&self, v: Value) -> bool {
        self.of.contains_key(&v)
    }
    /// Where the last buffer ends that is alive: what lies behind may be written over for now.
    pub fn end(&self) -> u64 {
        self.alive.last_key_value().map_or(0, |(at, buffer)| at + buffer.bytes)
    }
    /// Bytes that all buffers take together.
    pub fn size(&self) -> u64 {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::ids::EntityRef;

    #[test]
    fn what_is_alive_at_the_same_time_does_not_overlap_and_what_is_freed_is_used_again() {
        let mut buffers = BufferPlan::default();
        let [a, b, c] = [0, 1, 2].map(Value::new);
        assert_eq!((buffers.allot(a, 100), buffers.keep(64)), (0, 128));
        buffers.share(b, a);
        buffers.leave(a);
        assert_eq!(buffers.allot(c, 65), 192, "the first buffer has a second tenant");
        assert_eq!(buffers.end(), 320);
        buffers.leave(b);
        let (scratch, at) = buffers.scratch(65);
        assert_eq!(at, 0);
        buffers.give_back(scratch);
        assert_eq!((buffers.keep(128), buffers.keep(1)), (0, 320));
        assert_eq!(buffers.size(), 384);
        buffers.leave(c);
        assert_eq!((buffers.end(), buffers.size()), (384, 384));
    }
}
