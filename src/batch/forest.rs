//! Folds of many trees at once. A batch of roots in the same arrays is computed in steps of as many nodes, of whichever
//! trees, as are ready: the recursive function that a model gives for one node runs on all nodes of a step, as rows of
//! a batch of their own.
//!
//! What nodes have is kept in arrays, a row a node, which steps read and write.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::schedule::{Schedule, ScheduleOf};
use super::{Batch, BatchBool, BatchInt};
use crate::continuation::is_trial;
use crate::continuation::unwinding::{operator, raise};
use crate::error::Error;
use crate::language::at::Write;
use crate::language::control::continuation_passing::{Site, leaves, tried};
use crate::language::control::{TreeArrays, rows, while_loop_at};
use crate::language::real::{Int, Mask, Real};
use crate::language::shape::{self, Shape};
use crate::language::state::{Index, Leaf, State};
use crate::language::tensor::{IntTensor, Tensor};

/// How many inner nodes a step of a recorded fold of so many trees takes at most: about one of each tree. There have to
/// be as many steps as the highest tree has levels; and of the trees of English sentences (the Stanford Sentiment
/// Treebank), 25 at a time with 24 nodes a step, there are an eighth more, and 95 of 100 rows are of nodes.
fn width(trees: usize) -> usize {
    (trees / 8 * 8).clamp(8, 128)
}

/// The function of an inner node.
type Inner<'f, T, S> = &'f dyn Fn(&BatchInt<<T as Real>::Int>, S, S) -> S;

/// A fold that is computed in steps, and the functions of its nodes.
struct Forest<'f, T: Tensor, S> {
    site: Site,
    tree: &'f TreeArrays<BatchInt<T::Int>>,
    leaf: &'f dyn Fn(&BatchInt<T::Int>) -> S,
    inner: Inner<'f, T, S>,
}

/// What rows of nodes are.
struct Rows<T: Tensor> {
    /// Their numbers, `[rows]`.
    nodes: T::Int,
    /// The rows of the arrays in which they are kept.
    targets: T::Int,
    count: usize,
}

/// [`Tensor::fold_tree`] in steps, if the trees' arrays are the same for all rows of a batch of roots, and nothing else
/// that the functions use differs from row to row; `None` if not.
pub(super) fn fold<T: Tensor, S: State<Batch<T>>>(
    site: Site,
    tree: &TreeArrays<BatchInt<T::Int>>,
    leaf: &impl Fn(&BatchInt<T::Int>) -> S,
    inner: &impl Fn(&BatchInt<T::Int>, S, S) -> S,
) -> Option<S> {
    let TreeArrays { left, right, root } = tree;
    let trees = root.rows()?;
    let below = |int: &T::Int| int.less(&T::Int::constant(0)).is_batched();
    let differ = left.batched || right.batched || [left, right, root].iter().any(|int| below(&int.value));
    let lists = left.value.shape().len() == 1
        && left.value.shape() == right.value.shape()
        && root.row_shape().is_empty();
    // Of one root nothing tells apart whether something is of that tree or of all nodes.
    if differ || !lists || trees < 2 || left.value.shape()[0] == 0 || is_trial() {
        return None;
    }
    let forest = Forest { site, tree, leaf, inner };
    if T::RECORDS { forest.recorded(trees) } else { forest.known(trees) }
}

impl<T: Tensor, S: State<Batch<T>>> Forest<'_, T, S> {
    /// The roots, −1 where they are of no account.
    fn roots(&self) -> T::Int {
        let root = &self.tree.root.value;
        match rows::live::<BatchBool<T::Bool>>() {
            Some(live) if live.batched => T::Int::select(&live.value, root, &T::Int::constant(-1)),
            _ => root.clone(),
        }
    }

    /// Something like the result of a node, if the functions can be run on any nodes: their shapes are those of a row.
    fn tried(&self, trees: usize, [leaf, inner]: [i64; 2]) -> Option<S> {
        let count = if trees == 2 { 3 } else { 2 };
        let of_rows = |result: &S| {
            leaves::<Batch<T>, S>(result).into_iter().all(|component| match component {
                Leaf::Real(x) => x.rows().is_none_or(|rows| rows == count),
                Leaf::Int(_) | Leaf::Bool(_) => false,
            })
        };
        let node = |node| {
            let nodes = T::Int::from_elements(&[count], &vec![node; count]).expect("one a row");
            BatchInt::of_rows(nodes)
        };
        tried::<Batch<T>, _>(self.site, || {
            rows::over::<BatchBool<T::Bool>, _>(count, || {
                // What fails here fails again where nothing is tried, or is no error.
                let attempt = || {
                    let below = (self.leaf)(&node(leaf));
                    let above = (self.inner)(&node(inner), below.clone(), below.clone());
                    (of_rows(&below) && of_rows(&above) && alike::<T, S>(&below, &above)).then_some(below)
                };
                catch_unwind(AssertUnwindSafe(attempt)).ok().flatten()
            })
        })
    }

    /// Arrays with a row for each node, and further ones.
    fn arrays(&self, like: &S, further: usize) -> Vec<T> {
        let nodes = self.tree.left.value.shape()[0] + further;
        let array = |component: Leaf<Batch<T>>| {
            let shape: Shape = std::iter::once(nodes).chain(component.real().row_shape()).collect();
            T::zeros(&shape)
        };
        operator(self.site.at, || leaves::<Batch<T>, S>(like).into_iter().map(array).collect())
    }

    /// What is kept of nodes.
    fn read(&self, like: &S, arrays: &[T], nodes: &T::Int) -> S {
        let of = |array: &T| Leaf::Real(Batch::of_rows(array.gather_rows(nodes)));
        let components: Vec<Leaf<Batch<T>>> = operator(self.site.at, || arrays.iter().map(of).collect());
        like.rebuild(&mut components.into_iter())
    }

    /// The arrays after a step of leaves, or of inner nodes.
    fn step(&self, like: &S, arrays: Vec<T>, of: Rows<T>, inner: bool) -> Vec<T> {
        let children = inner.then(|| {
            let [left, right] = [&self.tree.left, &self.tree.right]
                .map(|child| operator(self.site.at, || child.value.gather_rows(&of.nodes)));
            (self.read(like, &arrays, &left), self.read(like, &arrays, &right))
        });
        let nodes = BatchInt::of_rows(of.nodes);
        let result = rows::over::<BatchBool<T::Bool>, _>(of.count, || match children {
            None => (self.leaf)(&nodes),
            Some((left, right)) => (self.inner)(&nodes, left, right),
        });
        if !alike::<T, S>(like, &result) {
            raise(self.disagree());
        }
        let components = leaves::<Batch<T>, S>(&result).into_iter();
        let write = |(array, component): (T, Leaf<Batch<T>>)| {
            array.write_rows(
                Write::Set { distinct: true },
                1,
                &of.targets,
                &component.real().spread(of.count),
            )
        };
        operator(self.site.at, || arrays.into_iter().zip(components).map(write).collect())
    }

    fn disagree(&self) -> Error {
        let reason = "the leaf and the inner function give values of different shapes".into();
        Error::Argument { op: self.site.op, reason, at: self.site.at }
    }

    /// Where the trees are known while the model runs.
    fn known(&self, trees: usize) -> Option<S> {
        let [left, right] = [self.tree.left.value.elements()?, self.tree.right.value.elements()?];
        let roots = self.roots().elements()?;
        let schedule = Schedule::new([&left, &right], &roots, [left.len(); 2])
            .unwrap_or_else(|reason| raise(Error::Argument { op: self.site.op, reason, at: self.site.at }));
        let some = |step: usize| schedule.steps().nth(step).map(|nodes| nodes[0] as i64);
        let leaf = some(0)?;
        let like = self.tried(trees, [leaf, some(schedule.leaf_steps).unwrap_or(leaf)])?;
        let mut arrays = self.arrays(&like, 0);
        for (step, nodes) in schedule.steps().enumerate() {
            let count = nodes.len();
            let nodes: Vec<i64> = nodes.iter().map(|&node| node as i64).collect();
            let nodes = T::Int::from_elements(&[count], &nodes).expect("one a row");
            let rows = Rows { targets: nodes.clone(), nodes, count };
            arrays = self.step(&like, arrays, rows, step >= schedule.leaf_steps);
        }
        Some(self.at_the_roots(&like, &arrays))
    }

    /// Where they are data: two loops, of the leaves and of the inner nodes.
    fn recorded(&self, trees: usize) -> Option<S> {
        let like = self.tried(trees, [0, 0])?;
        let at = self.site.at;
        let nodes = self.tree.left.value.shape()[0];
        let inner = width(trees);
        let schedule = ScheduleOf { leaves: 2 * inner, inner };
        let (order, starts, [leaf_steps, steps]) = operator(at, || {
            let ints = [&self.tree.left.value, &self.tree.right.value, &self.roots()];
            let [left, right, roots] = ints.map(T::from_int);
            let all = T::host(&schedule, &[&left, &right, &roots]).to_int();
            let ends = schedule.ends(nodes);
            let one = |i: usize| all.slice(0, i..i + 1).reshape(&[]);
            let counts = [one(ends[1]), one(ends[1] + 1)];
            (all.slice(0, 0..ends[0]), all.slice(0, ends[0]..ends[1]), counts)
        });
        let rows = |step: &T::Int, count: usize| {
            let places: Vec<i64> = (0..count as i64).collect();
            operator(at, || {
                let begin = starts.gather_rows(step);
                let end = starts.gather_rows(&(step.clone() + T::Int::constant(1)));
                let places = T::Int::from_elements(&[count], &places).expect("one a row");
                let place = places.clone() + &begin;
                let is_there = place.less(&end);
                // Rows for which there is no node are another time the last one, and written to rows of their own.
                let last = end - T::Int::constant(1);
                let nodes_of = order.gather_rows(&T::Int::select(&is_there, &place, &last));
                let aside = places + T::Int::constant(nodes as i64);
                let targets = T::Int::select(&is_there, &nodes_of, &aside);
                Rows { nodes: nodes_of, targets, count }
            })
        };
        let run = |from: T::Int, to: &T::Int, arrays: Vec<T>, count: usize, inner: bool| {
            while_loop_at::<T, (Index<T>, Vec<T>)>(
                at,
                (Index(from), arrays),
                |(step, _)| step.0.less(to),
                |(step, arrays)| {
                    let arrays = self.step(&like, arrays, rows(&step.0, count), inner);
                    (Index(operator(at, || step.0 + T::Int::constant(1))), arrays)
                },
            )
            .1
        };
        let arrays = self.arrays(&like, schedule.leaves);
        let arrays = run(T::Int::constant(0), &leaf_steps, arrays, schedule.leaves, false);
        let arrays = run(leaf_steps, &steps, arrays, schedule.inner, true);
        Some(self.at_the_roots(&like, &arrays))
    }

    fn at_the_roots(&self, like: &S, arrays: &[T]) -> S {
        let roots = operator(self.site.at, || self.tree.root.guarded().value);
        if !T::RECORDS || arrays.len() == 1 {
            return self.read(like, arrays, &roots);
        }
        // As one array: if one component of the roots has an adjoint, all have, and code need not look whether the
        // arrays' adjoints are there, each of which is one that it adds to where it lies.
        let components = operator(self.site.at, || {
            let rows: Vec<T> = arrays.iter().map(|array| array.gather_rows(&roots)).collect();
            let flat = |x: &T| x.reshape(&[x.shape()[0], shape::size(&x.shape()[1..])]);
            let sizes = rows.iter().map(|x| shape::size(&x.shape()[1..]));
            let ends = sizes.scan(0, |end, size| {
                *end += size;
                Some((*end - size)..*end)
            });
            let all = T::concat(&rows.iter().map(flat).collect::<Vec<T>>(), 1);
            let component = |(range, x): (Range<usize>, &T)| {
                Leaf::Real(Batch::of_rows(all.slice(1, range).reshape(&x.shape())))
            };
            ends.zip(&rows).map(component).collect::<Vec<Leaf<Batch<T>>>>()
        });
        like.rebuild(&mut components.into_iter())
    }
}

/// Whether two results have the same components.
fn alike<T: Tensor, S: State<Batch<T>>>(a: &S, b: &S) -> bool {
    let outline = |result: &S| {
        let mut lengths = Vec::new();
        result.outline(&mut lengths);
        let shape = |component: Leaf<Batch<T>>| match component {
            Leaf::Real(x) => Some(x.row_shape()),
            Leaf::Int(_) | Leaf::Bool(_) => None,
        };
        (lengths, leaves::<Batch<T>, S>(result).into_iter().map(shape).collect::<Vec<_>>())
    };
    outline(a) == outline(b)
}
