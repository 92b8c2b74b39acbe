//! What the last runs have needed, and what is kept for the next ones.

/// Bytes that the last sixteen runs have used of something that is kept between runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recent {
    bytes: [usize; 16],
    next: usize,
}

impl Recent {
    /// Those of nothing yet.
    pub const NONE: Recent = Recent { bytes: [0; 16], next: 0 };

    /// Notes a run.
    pub fn note(&mut self, bytes: usize) {
        self.bytes[self.next] = bytes;
        self.next = (self.next + 1) % self.bytes.len();
    }

    /// What at least two of them have used: a single one that needed more is no reason to keep that much.
    pub fn usual(&self) -> usize {
        let [mut most, mut second] = [0; 2];
        for &bytes in &self.bytes {
            second = second.max(bytes.min(most));
            most = most.max(bytes);
        }
        second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_of_the_last_runs_have_used_is_usual() {
        let mut recent = Recent::NONE;
        let mut after = |bytes| {
            recent.note(bytes);
            recent.usual()
        };
        assert_eq!([1, 100, 2, 70, 90].map(&mut after), [0, 1, 2, 70, 90]);
        let shallow: Vec<usize> = (0..16).map(|_| after(5)).collect();
        assert_eq!((shallow[10], shallow[12], shallow[15]), (90, 70, 5));
    }
}
