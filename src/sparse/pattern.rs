//! [`Sparsity`]: which entries a matrix has.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::coloring::{Compression, columns_or_rows, symmetric};
use super::set::Set;
use crate::error::{At, Error, Result};

/// Which entries of a matrix may differ from zero, in compressed sparse rows, as SciPy's `csr_matrix` has them: entries
/// `row_pointers[i]..row_pointers[i + 1]` are those of row `i`, and `column_indices` has their columns, ascending.
///
/// It is found once, by [`jacobian_sparsity`](crate::jacobian_sparsity) or
/// [`hessian_sparsity`](crate::hessian_sparsity), or made of what is known, and used for many matrices: what can be
/// computed together is found when the first one is, and kept. A clone shares it.
#[derive(Clone)]
pub struct Sparsity(Arc<Pattern>);

struct Pattern {
    rows: Adjacency,
    columns: usize,
    jacobian: OnceLock<Compression>,
    hessian: OnceLock<Compression>,
}

/// For each vertex of a graph its neighbours, or for each row of a matrix the columns of its entries.
#[derive(PartialEq, Eq)]
pub(super) struct Adjacency {
    pointers: Vec<usize>,
    indices: Vec<usize>,
}

impl Adjacency {
    fn new<'a>(lists: impl Iterator<Item = &'a [usize]>) -> Adjacency {
        let (mut pointers, mut indices) = (vec![0], Vec::new());
        for list in lists {
            indices.extend_from_slice(list);
            pointers.push(indices.len());
        }
        Adjacency { pointers, indices }
    }

    pub(super) fn len(&self) -> usize {
        self.pointers.len() - 1
    }

    pub(super) fn of(&self, i: usize) -> &[usize] {
        &self.indices[self.pointers[i]..self.pointers[i + 1]]
    }

    /// How long the longest list is.
    pub(super) fn longest(&self) -> usize {
        (0..self.len()).map(|i| self.of(i).len()).max().unwrap_or(0)
    }

    /// All pairs, in order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        (0..self.len()).flat_map(|i| self.of(i).iter().map(move |&j| (i, j)))
    }

    /// For each of so many columns its rows, ascending.
    pub(super) fn transposed(&self, columns: usize) -> Adjacency {
        let mut lists = vec![Vec::new(); columns];
        self.pairs().for_each(|(i, j)| lists[j].push(i));
        Adjacency::new(lists.iter().map(Vec::as_slice))
    }
}

impl Sparsity {
    /// A matrix of this shape, rows and columns, with these entries, row and column each: in any order, and as often as
    /// one likes.
    ///
    /// ```
    /// use antiphon::Sparsity;
    /// let bidiagonal = Sparsity::from_entries([3, 3], (0..3).flat_map(|i| [(i, i), (i, (i + 1).min(2))]))?;
    /// assert_eq!(bidiagonal.row_pointers(), [0, 2, 4, 5]);
    /// assert_eq!(bidiagonal.column_indices(), [0, 1, 1, 2, 2]);
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for an entry outside of the matrix.
    #[track_caller]
    pub fn from_entries(
        shape: [usize; 2],
        entries: impl IntoIterator<Item = (usize, usize)>,
    ) -> Result<Sparsity> {
        let mut rows = vec![Vec::new(); shape[0]];
        for (i, j) in entries {
            check_index("row", i, shape[0])?;
            check_index("column", j, shape[1])?;
            rows[i].push(j);
        }
        Ok(Sparsity::of_lists(shape[1], rows))
    }

    /// A matrix of this shape, rows and columns, with the entries of a `csr_matrix`: `indptr` and `indices` there.
    ///
    /// # Errors
    /// [`Error::Argument`] for a column outside of the matrix, if the row pointers are not one more than the rows or do
    /// not ascend from 0 to the number of entries, or if the columns of a row do not ascend.
    #[track_caller]
    pub fn from_csr(
        shape: [usize; 2],
        row_pointers: Vec<usize>,
        column_indices: Vec<usize>,
    ) -> Result<Sparsity> {
        let at = At::caller();
        let refuse = |reason: String| Err(Error::Argument { op: "Sparsity", reason, at });
        if row_pointers.len().checked_sub(1) != Some(shape[0]) {
            let (found, rows) = (row_pointers.len(), shape[0]);
            return refuse(format!("{found} row pointers for {rows} rows: there is one more than rows"));
        }
        let ends = (row_pointers[0], row_pointers[shape[0]]);
        if ends != (0, column_indices.len()) || !row_pointers.is_sorted() {
            let entries = column_indices.len();
            return refuse(format!(
                "the row pointers do not ascend from 0 to the number of entries, {entries}"
            ));
        }
        for &j in &column_indices {
            check_index("column", j, shape[1])?;
        }
        let rows = Adjacency { pointers: row_pointers, indices: column_indices };
        match (0..shape[0]).find(|&i| !rows.of(i).is_sorted_by(|a, b| a < b)) {
            Some(row) => refuse(format!("the columns of row {row} do not ascend: {:?}", rows.of(row))),
            None => Ok(Sparsity::new(rows, shape[1])),
        }
    }

    fn new(rows: Adjacency, columns: usize) -> Sparsity {
        let (jacobian, hessian) = (OnceLock::new(), OnceLock::new());
        Sparsity(Arc::new(Pattern { rows, columns, jacobian, hessian }))
    }

    /// Of the columns of each row, in any order.
    fn of_lists(columns: usize, mut rows: Vec<Vec<usize>>) -> Sparsity {
        for row in &mut rows {
            row.sort_unstable();
            row.dedup();
        }
        Sparsity::new(Adjacency::new(rows.iter().map(Vec::as_slice)), columns)
    }

    /// Of what each row depends on.
    pub(super) fn of_sets(columns: usize, rows: &[Set]) -> Sparsity {
        Sparsity::new(Adjacency::new(rows.iter().map(|set| set.as_deref().unwrap_or_default())), columns)
    }

    /// With each entry across the diagonal from one, of as many rows as columns.
    pub(super) fn symmetric(&self) -> Sparsity {
        let mut rows = vec![Vec::new(); self.0.columns];
        for (i, j) in self.0.rows.pairs() {
            rows[i].push(j);
            rows[j].push(i);
        }
        Sparsity::of_lists(self.0.columns, rows)
    }

    /// The numbers of rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.0.rows.len(), self.0.columns]
    }

    /// How many entries there are.
    pub fn nnz(&self) -> usize {
        self.0.rows.indices.len()
    }

    /// Where the entries of each row begin, and, last, their number.
    pub fn row_pointers(&self) -> &[usize] {
        &self.0.rows.pointers
    }

    /// The column of each entry, row by row.
    pub fn column_indices(&self) -> &[usize] {
        &self.0.rows.indices
    }

    /// Row and column of each entry, in order.
    pub fn entries(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.0.rows.pairs()
    }

    /// How many directions, or adjoints, [`sparse_jacobian`](crate::sparse_jacobian) takes: colours of the columns, or
    /// of the rows, whichever are fewer, so that no two of one colour have an entry in the same row (column).
    ///
    /// They are coloured one by one, in the order of how many entries there are in the rows that they have entries in,
    /// most first, each in the first colour that is left (Curtis, Powell & Reid 1974; Coleman & Moré 1983).
    pub fn jacobian_colors(&self) -> usize {
        self.jacobian().colors
    }

    /// How many directions [`sparse_hessian`](crate::sparse_hessian) takes: the colours of a star colouring of the
    /// graph that has an edge for each entry off the diagonal (Gebremedhin, Manne & Pothen 2005). In any path of four
    /// vertices there are three colours, so that each entry is alone in one of its two places.
    ///
    /// Vertices are coloured one by one, those with most neighbours first, each in the first colour that is left.
    ///
    /// # Errors
    /// [`Error::Argument`] if the pattern is not symmetric.
    #[track_caller]
    pub fn hessian_colors(&self) -> Result<usize> {
        Ok(self.hessian("hessian_colors", At::caller())?.colors)
    }

    pub(super) fn jacobian(&self) -> &Compression {
        self.0.jacobian.get_or_init(|| columns_or_rows(&self.0.rows, self.0.columns))
    }

    pub(super) fn hessian(&self, op: &'static str, at: At) -> Result<&Compression> {
        let rows = &self.0.rows;
        let refuse = |reason: String| Err(Error::Argument { op, reason, at });
        let [m, n] = self.shape();
        if m != n {
            return refuse(format!("the pattern of a Hessian is square, and this one is [{m}, {n}]"));
        }
        if let Some(known) = self.0.hessian.get() {
            return Ok(known);
        }
        if let Some((i, j)) = rows.pairs().find(|&(i, j)| rows.of(j).binary_search(&i).is_err()) {
            return refuse(format!(
                "the pattern of a Hessian is symmetric, and this one has ({i}, {j}) without ({j}, {i})"
            ));
        }
        Ok(self.0.hessian.get_or_init(|| symmetric(rows)))
    }
}

#[track_caller]
fn check_index(what: &'static str, index: usize, len: usize) -> Result<()> {
    if index < len {
        return Ok(());
    }
    let reason = format!("{what} {index} is out of range for a matrix of {len} {what}s");
    Err(Error::Argument { op: "Sparsity", reason, at: At::caller() })
}

impl PartialEq for Sparsity {
    /// The same shape and the same entries.
    fn eq(&self, other: &Sparsity) -> bool {
        self.0.rows == other.0.rows && self.0.columns == other.0.columns
    }
}

impl Eq for Sparsity {}

impl fmt::Debug for Sparsity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sparsity")
            .field("shape", &self.shape())
            .field("row_pointers", &self.row_pointers())
            .field("column_indices", &self.column_indices())
            .finish()
    }
}
