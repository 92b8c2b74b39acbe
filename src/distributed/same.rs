//! What has to be the same on all ranks, compared.

use super::Communicator;
use super::protocol::{SAME, Signature};
use super::raw::Channel;
use crate::error::{Error, Result};
use crate::io::{Stored, Values};
use crate::language::params::Params;

impl Communicator {
    /// That a structure is the same on all ranks: names, shapes, types and every bit of the numbers, of which checksums
    /// are compared. Initial weights have to be, or the ranks would train different models.
    ///
    /// # Errors
    /// [`Error::Structure`], on all ranks, with `what` it is and the first leaf that differs on some rank from rank
    /// 0's; [`Error::Rank`] if one has failed.
    pub fn check_same<P: Params<Leaf: Stored>>(&self, what: &str, structure: &P) -> Result<()> {
        // Of each leaf a checksum of its name and type, and one of its numbers.
        let mut names = Vec::new();
        let mut mine = Vec::new();
        structure.visit(&mut |path, leaf| {
            let values = leaf.to_values();
            let shape = values.shape().to_vec();
            let (ty, numbers) = match &values {
                Values::F32(array) => ("f32", checksum(array.iter().map(|x| x.to_le_bytes()))),
                Values::F64(array) => ("f64", checksum(array.iter().map(|x| x.to_le_bytes()))),
            };
            mine.push(checksum([format!("{path} {shape:?} {ty}")]));
            mine.push(numbers);
            names.push((path.to_string(), shape));
        });
        let counts = self.gather(&[mine.len() as u64])?;
        let differ = |rank: usize, reason: String| {
            Err(Error::Structure(format!("{what}: {reason} on rank {rank} and on rank 0")))
        };
        if let Some(rank) = counts.iter().position(|count| *count != counts[0]) {
            return differ(rank, format!("there are {} and {} of them", counts[rank] / 2, counts[0] / 2));
        }
        let all = self.gather(&mine)?;
        for (leaf, (name, shape)) in names.iter().enumerate() {
            for (number, what) in
                ["is of another name, shape or type", "has other numbers"].iter().enumerate()
            {
                let of = |rank: usize| all[rank * mine.len() + 2 * leaf + number];
                if let Some(rank) = (1..self.size()).find(|&rank| of(rank) != of(0)) {
                    return differ(rank, format!("`{name}` {shape:?} {what}"));
                }
            }
        }
        Ok(())
    }

    /// All ranks' numbers.
    fn gather(&self, numbers: &[u64]) -> Result<Vec<u64>> {
        let Some(mut state) = self.state() else { return Ok(numbers.to_vec()) };
        let next = Signature { kind: SAME, width: 0, count: numbers.len(), detail: 0 };
        let gathered = state.agree(next).and_then(|()| {
            let begun = state.mpi.all_gather(Channel::Data, numbers.to_vec());
            state.finish(begun)
        });
        drop(state);
        gathered.map_err(|reason| self.failure().unwrap_or(Error::Config { name: "mpi", reason }))
    }
}

/// The first bytes of BLAKE3 of all of them.
fn checksum(parts: impl IntoIterator<Item: AsRef<[u8]>>) -> u64 {
    let mut hasher = blake3::Hasher::new();
    parts.into_iter().for_each(|part| {
        hasher.update(part.as_ref());
    });
    u64::from_le_bytes(hasher.finalize().as_bytes()[..8].try_into().expect("eight bytes"))
}
