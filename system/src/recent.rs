//! What the last runs have needed, and what is kept for the next ones.

/// Bytes that the last runs, 64 of them, have used of something that is kept between runs.
#[derive(Clone, Debug)]
pub struct Recent {
    bytes: [usize; Recent::RUNS],
    next: usize,
}

impl Recent {
    /// How many runs count.
    pub const RUNS: usize = 64;
    /// Those of nothing yet.
    pub const NONE: Recent = Recent { bytes: [0; Recent::RUNS], next: 0 };

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
        let shallow: Vec<usize> = (0..Recent::RUNS).map(|_| after(5)).collect();
        assert_eq!(shallow[Recent::RUNS - 6..], [90, 90, 70, 70, 5, 5]);
    }
}
