//! What an [`Import`](super::Import) found in a file, and what it made of it.

use std::fmt;

/// An array that lies in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredArray {
    /// Its name there.
    pub name: String,
    /// The type of its numbers, as the format calls it: `F16`, `I64`.
    pub numbers: String,
    /// Lengths of its axes.
    pub shape: Vec<usize>,
}

impl fmt::Display for StoredArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}{:?}", self.name, self.numbers, self.shape)
    }
}

/// A leaf that was filled from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The leaf's name.
    pub leaf: String,
    /// The array that it was filled from.
    pub array: StoredArray,
    /// The order of the array's axes in the leaf, where it is another one: axis `i` of the leaf is axis `order[i]` of
    /// the array.
    pub order: Option<Vec<usize>>,
}

/// What became of a structure's leaves and of a file's arrays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Leaves that were filled, in the structure's order.
    pub loaded: Vec<Imported>,
    /// Leaves of which the file has nothing, with their shapes; they are as before.
    pub missing: Vec<(String, Vec<usize>)>,
    /// Leaves that were not to be filled; they are as before.
    pub kept: Vec<String>,
    /// Arrays of the file that no leaf takes, by name.
    pub unused: Vec<StoredArray>,
}

impl fmt::Display for ImportReport {
    /// One line for each leaf and each array that is left.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Imported { leaf, array, order } in &self.loaded {
            write!(f, "loaded   {leaf} from {array}")?;
            match order {
                Some(order) => writeln!(f, ", axes {order:?}")?,
                None => writeln!(f)?,
            }
        }
        for (leaf, shape) in &self.missing {
            writeln!(f, "missing  {leaf} {shape:?}")?;
        }
        for leaf in &self.kept {
            writeln!(f, "kept     {leaf}")?;
        }
        self.unused.iter().try_for_each(|array| writeln!(f, "unused   {array}"))
    }
}
