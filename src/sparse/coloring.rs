//! Which columns, or rows, of a sparse matrix can be computed together: those of one colour are a single direction, or
//! adjoint, and each entry is still found on its own.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::pattern::Adjacency;

/// The colour of each column, or row; none of one without entries.
type Colors = Vec<Option<usize>>;

/// What is computed of a sparse matrix, and where its entries are in it.
#[derive(Debug)]
pub(super) struct Compression {
    /// Whether the colours are those of rows.
    pub by_rows: bool,
    /// How many there are.
    pub colors: usize,
    /// That of each column, or row.
    pub color: Colors,
    /// Where each entry is in an array `[colors, length]` of all columns, or rows, of one colour together.
    pub places: Vec<i64>,
}

/// The fewest colours of columns or of rows; of columns, if it is the same.
pub(super) fn columns_or_rows(rows: &Adjacency, width: usize) -> Compression {
    let columns = rows.transposed(width);
    // No fewer than the longest row, or column, has entries. Which takes more at least is not coloured, if it need not.
    let mut ways = [(rows.longest(), false), (columns.longest(), true)];
    ways.sort_unstable();
    let mut best: Option<((usize, bool), Colors)> = None;
    for least in ways {
        if best.as_ref().is_none_or(|(found, _)| least < *found) {
            let by_rows = least.1;
            let color = if by_rows { alone_in_each(rows, &columns) } else { alone_in_each(&columns, rows) };
            let found = (count(&color), by_rows);
            if best.as_ref().is_none_or(|(best, _)| found < *best) {
                best = Some((found, color));
            }
        }
    }
    let ((colors, by_rows), color) = best.expect("one way is taken");
    let length = if by_rows { width } else { rows.len() };
    let place = |(i, j): (usize, usize)| {
        let (colored, at) = if by_rows { (i, j) } else { (j, i) };
        (color[colored].expect("what has an entry has a colour") * length + at) as i64
    };
    let places = rows.pairs().map(place).collect();
    Compression { by_rows, colors, color, places }
}

/// Colours of columns of which no two of one colour have an entry in the same row; or of rows likewise.
fn alone_in_each(columns: &Adjacency, rows: &Adjacency) -> Colors {
    let mut color = vec![None; columns.len()];
    let mut palette = Palette::default();
    for j in largest_first(columns.len(), |j| columns.of(j).iter().map(|&i| rows.of(i).len()).sum()) {
        if columns.of(j).is_empty() {
            continue;
        }
        palette.clear();
        for &i in columns.of(j) {
            if !rows.of(i).iter().filter_map(|&k| color[k]).all(|taken| palette.forbid(taken)) {
                break;
            }
        }
        color[j] = Some(palette.first());
    }
    color
}

/// A star colouring of the graph of a symmetric matrix, and where each entry is found directly.
pub(super) fn symmetric(rows: &Adjacency) -> Compression {
    let n = rows.len();
    let neighbours = |i: usize| rows.of(i).iter().copied().filter(move |&j| j != i);
    let mut color: Colors = vec![None; n];
    // For each vertex the colours of its neighbours: how many have it, and one of them.
    let mut around: Vec<BTreeMap<usize, (usize, usize)>> = vec![BTreeMap::new(); n];
    let mut palette = Palette::default();
    for v in largest_first(n, |i| rows.of(i).len()) {
        if rows.of(v).is_empty() {
            continue;
        }
        palette.clear();
        let left = neighbours(v).filter_map(|w| color[w]).all(|taken| palette.forbid(taken));
        // On a path v–w–x, where w has no colour yet, or on v–w–x–y, where w and y have the same, x has another than v.
        let ends_path = |w: usize, x: (usize, usize)| match color[w] {
            None => true,
            Some(same) => x.0 == 1 && around[x.1][&same].0 > 1,
        };
        if left {
            neighbours(v)
                .flat_map(|w| around[w].iter().map(move |(&taken, &x)| (w, taken, x)))
                .filter(|&(w, _, x)| ends_path(w, x))
                .all(|(_, taken, _)| palette.forbid(taken));
        }
        let chosen = palette.first();
        color[v] = Some(chosen);
        for w in neighbours(v) {
            around[w].entry(chosen).or_insert((0, v)).0 += 1;
        }
    }
    let of = |i: usize| color[i].expect("what has an entry has a colour");
    let place = |(i, j): (usize, usize)| {
        // Whether the column of j is the only one of its colour with an entry in row i.
        let alone = i == j || around[i][&of(j)].0 == 1;
        let (colored, at) = if alone { (j, i) } else { (i, j) };
        (of(colored) * n + at) as i64
    };
    let places = rows.pairs().map(place).collect();
    Compression { by_rows: false, colors: count(&color), color, places }
}

/// The numbers below `n`, those of the largest degree first, and of equal ones the smaller number.
fn largest_first(n: usize, degree: impl Fn(usize) -> usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_cached_key(|&i| Reverse(degree(i)));
    order
}

fn count(color: &[Option<usize>]) -> usize {
    color.iter().flatten().max().map_or(0, |last| last + 1)
}

/// The colours that there are, and which of them are forbidden now.
#[derive(Default)]
struct Palette {
    forbidden: Vec<bool>,
    left: usize,
}

impl Palette {
    /// Forbids none.
    fn clear(&mut self) {
        self.forbidden.fill(false);
        self.left = self.forbidden.len();
    }
    /// Whether any is left without this one.
    fn forbid(&mut self, color: usize) -> bool {
        if !std::mem::replace(&mut self.forbidden[color], true) {
            self.left -= 1;
        }
        self.left > 0
    }
    /// The first that is not forbidden: a new one, if all are.
    fn first(&mut self) -> usize {
        let first = self.forbidden.iter().position(|forbidden| !forbidden);
        first.unwrap_or_else(|| {
            self.forbidden.push(false);
            self.forbidden.len() - 1
        })
    }
}
