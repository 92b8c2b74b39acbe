//! The plan of a function's frame in the arena: buffers that are not alive at the same time share room.

/// Buffers begin at multiples of this, a cache line.
pub const ALIGNMENT: u64 = 64;

/// A buffer of a [`Frame`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Buffer(usize);

/// A function's frame, planned in the order in which its code is emitted.
#[derive(Default)]
pub struct Frame {
    /// Start and length of all buffers ever placed, and whether each is alive.
    buffers: Vec<(u64, u64, bool)>,
    size: u64,
}

impl Frame {
    /// A place for so many bytes, at the lowest offset at which nothing alive is.
    pub fn place(&mut self, bytes: u64) -> (Buffer, u64) {
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
    pub fn free(&mut self, buffer: Buffer) {
        self.buffers[buffer.0].2 = false;
    }
    /// Bytes that the whole frame takes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alive_at_the_same_time_does_not_overlap_and_what_is_freed_is_used_again() {
        let mut frame = Frame::default();
        let (a, at_a) = frame.place(100);
        let (_, at_b) = frame.place(64);
        assert_eq!((at_a, at_b), (0, 128));
        frame.free(a);
        assert_eq!(frame.place(65).1, 0);
        assert_eq!(frame.place(1).1, 192);
        assert_eq!(frame.size(), 256);
    }
}
