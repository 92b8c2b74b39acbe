//! In which order the nodes of many trees are computed, several at a time: each step takes those of the nodes whose
//! children are there that are furthest from their root. For trees no order has fewer steps (Hu 1961, "Parallel
//! sequencing and assembly line problems").

use std::collections::BinaryHeap;

use ndarray::{ArrayViewD, ArrayViewMutD};

use crate::language::host::{HostElement, HostOperator};
use crate::language::tensor::Tensor;

/// The nodes below some roots, in steps.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    /// The nodes, step after step.
    pub(super) order: Vec<usize>,
    /// Where in the order each step begins, and where the last one ends.
    pub(super) starts: Vec<usize>,
    /// How many steps are of leaves; the others follow, and are of inner nodes.
    pub(super) leaf_steps: usize,
}

/// What is known of a node while it is looked for what lies below the roots.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Never,
    /// On the way down, or one of those that wait there.
    Above,
    Done,
}

impl Schedule {
    /// Of what lies below those roots that are not negative, in steps of up to so many leaves, and so many inner
    /// nodes.
    ///
    /// A node that is below several others is computed once.
    ///
    /// # Errors
    /// Names a child or a root that is no node, and a node that is below itself.
    pub(super) fn new(
        [left, right]: [&[i64]; 2],
        roots: &[i64],
        widths: [usize; 2],
    ) -> Result<Schedule, String> {
        let count = left.len();
        let node = |number: i64, what: &dyn Fn() -> String| match usize::try_from(number) {
            Ok(node) if node < count => Ok(node),
            _ => Err(format!("{} is {number}, of {count} nodes", what())),
        };
        let children = |i: usize| -> Result<Option<[usize; 2]>, String> {
            if left[i] < 0 {
                return Ok(None);
            }
            let left = node(left[i], &|| format!("the left child of node {i}"))?;
            Ok(Some([left, node(right[i], &|| format!("the right child of node {i}"))?]))
        };
        // Down, by a stack of its own: a tree may be as deep as memory. `finished` has children before their parents.
        let mut seen = vec![Seen::Never; count];
        let mut finished = Vec::new();
        let mut pending = Vec::new();
        for (tree, &root) in roots.iter().enumerate().filter(|(_, root)| **root >= 0) {
            pending.push(node(root, &|| format!("the root of tree {tree}"))?);
            while let Some(&i) = pending.last() {
                match (seen[i], children(i)?) {
                    (Seen::Never, Some(below)) => {
                        seen[i] = Seen::Above;
                        for child in below.into_iter().rev() {
                            match seen[child] {
                                Seen::Never => pending.push(child),
                                Seen::Above => return Err(format!("node {child} is below itself")),
                                Seen::Done => {}
                            }
                        }
                    }
                    (Seen::Done, _) => {
                        pending.pop();
                    }
                    _ => {
                        seen[i] = Seen::Done;
                        finished.push(i);
                        pending.pop();
                    }
                }
            }
        }
        Schedule::of_nodes(&finished, count, &children, widths)
    }

    /// Of nodes that come after their children.
    fn of_nodes(
        finished: &[usize],
        count: usize,
        children: &dyn Fn(usize) -> Result<Option<[usize; 2]>, String>,
        widths: [usize; 2],
    ) -> Result<Schedule, String> {
        let mut leaves = Vec::new();
        let mut depth = vec![0usize; count];
        // Which inner nodes each inner node is a child of, as lists that are linked by number, and how many children
        // each of them still waits for.
        let (mut first, mut links) = (vec![usize::MAX; count], Vec::new());
        let mut waiting = vec![0u8; count];
        for &i in finished.iter().rev() {
            let Some(below) = children(i)? else {
                leaves.push(i);
                continue;
            };
            for child in below {
                depth[child] = depth[child].max(depth[i] + 1);
                if children(child)?.is_some() {
                    links.push((i, first[child]));
                    first[child] = links.len() - 1;
                    waiting[i] += 1;
                }
            }
        }
        // As they lie in memory.
        leaves.sort_unstable();
        let mut schedule =
            Schedule { order: Vec::with_capacity(finished.len()), starts: vec![0], leaf_steps: 0 };
        for step in leaves.chunks(widths[0]) {
            schedule.step(step.iter().copied());
        }
        schedule.leaf_steps = schedule.starts.len() - 1;
        let inner = finished.iter().filter(|&&i| waiting[i] == 0 && !is_leaf(children(i)));
        let mut ready: BinaryHeap<(usize, usize)> = inner.map(|&i| (depth[i], i)).collect();
        while !ready.is_empty() {
            let step: Vec<usize> = (0..widths[1]).map_while(|_| ready.pop().map(|(_, i)| i)).collect();
            for &i in &step {
                let mut link = first[i];
                while let Some(&(parent, next)) = links.get(link) {
                    waiting[parent] -= 1;
                    if waiting[parent] == 0 {
                        ready.push((depth[parent], parent));
                    }
                    link = next;
                }
            }
            schedule.step(step.into_iter());
        }
        Ok(schedule)
    }

    fn step(&mut self, nodes: impl Iterator<Item = usize>) {
        self.order.extend(nodes);
        self.starts.push(self.order.len());
    }

    /// The nodes of each step, those of the leaves first.
    pub(super) fn steps(&self) -> impl Iterator<Item = &[usize]> {
        self.starts.windows(2).map(|ends| &self.order[ends[0]..ends[1]])
    }
}

fn is_leaf(children: Result<Option<[usize; 2]>, String>) -> bool {
    children.is_ok_and(|children| children.is_none())
}

/// [`Schedule::new`] of arrays that are data, as one vector: the order, with room for a step more; where the steps
/// begin; how many are of leaves, and how many there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScheduleOf {
    /// How many leaves a step takes at most.
    pub(super) leaves: usize,
    /// How many inner nodes.
    pub(super) inner: usize,
}

impl ScheduleOf {
    /// Where in the vector the parts end, for so many nodes.
    pub(super) fn ends(&self, nodes: usize) -> [usize; 3] {
        let (order, starts) = (nodes + self.leaves.max(self.inner), nodes + 1);
        [order, order + starts, order + starts + 2]
    }
}

impl HostOperator for ScheduleOf {
    const NAME: &'static str = "fold_tree";
    const RANKS: &'static [usize] = &[1, 1, 1];

    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        if operands[0] != operands[1] {
            return Err(format!("{:?} left children and {:?} right ones", operands[0], operands[1]));
        }
        Ok(vec![self.ends(operands[0][0])[2]])
    }
    fn value<E: HostElement>(
        &self,
        x: &[ArrayViewD<'_, E>],
        mut y: ArrayViewMutD<'_, E>,
    ) -> Result<(), String> {
        let ends = self.ends(x[0].len());
        let most = (2.0 / E::epsilon().to_f64().unwrap_or(1.0)) as usize;
        if ends[2] > most {
            return Err(format!(
                "{} nodes; numbers of {most} can be told apart in this precision",
                x[0].len()
            ));
        }
        let ints = |x: &ArrayViewD<'_, E>| x.iter().map(|x| x.to_i64().unwrap_or(-1)).collect::<Vec<i64>>();
        let schedule = Schedule::new([&ints(&x[0]), &ints(&x[1])], &ints(&x[2]), [self.leaves, self.inner])?;
        let mut put = |from: usize, numbers: &[usize]| {
            for (i, &number) in numbers.iter().enumerate() {
                y[from + i] = E::nearest(number as f64);
            }
        };
        put(0, &schedule.order);
        put(ends[0], &schedule.starts);
        put(ends[1], &[schedule.leaf_steps, schedule.starts.len() - 1]);
        Ok(())
    }
    fn harmless(&self, _operand: usize, shape: &[usize]) -> Vec<f64> {
        vec![-1.0; shape.iter().product()]
    }
    fn pull<T: Tensor>(&self, _x: &[T], _y: &T, _y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        vec![None, None, None]
    }
    fn push<T: Tensor>(&self, _x: &[T], _y: &T, _tangents: &[Option<T>]) -> Option<T> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    fn steps(left: &[i64], right: &[i64], roots: &[i64], width: usize) -> Result<Vec<Vec<usize>>, String> {
        Ok(Schedule::new([left, right], roots, [width; 2])?.steps().map(<[usize]>::to_vec).collect())
    }

    #[test]
    fn those_furthest_from_the_root_come_first() {
        // ((2 3) 4) at 0, and (6 7) at 5.
        let (left, right) = ([1, 2, -1, -1, -1, 6, -1, -1], [4, 3, 0, 0, 0, 7, 0, 0]);
        let leaves = [vec![2, 3], vec![4, 6], vec![7]];
        let of = |roots: &[i64], width| steps(&left, &right, roots, width).unwrap();
        assert_eq!(of(&[0, 5], 2), [&leaves[..], &[vec![1, 5], vec![0]]].concat());
        assert_eq!(of(&[0, 5], 1)[5..], [vec![1], vec![5], vec![0]]);
        assert_eq!(of(&[5, -1], 9), [vec![6, 7], vec![5]], "and nothing else");
        assert_eq!(of(&[2], 9), [vec![2]]);
        assert_eq!(of(&[], 9), [] as [Vec<usize>; 0]);
    }

    #[test]
    fn what_is_below_several_nodes_is_computed_once() {
        // A ladder: each node has the next one twice.
        let n = 60;
        let down: Vec<i64> = (0..n).map(|i| if i + 1 < n { i + 1 } else { -1 }).collect();
        let expected: Vec<Vec<usize>> = (0..n as usize).rev().map(|i| vec![i]).collect();
        assert_eq!(steps(&down, &down, &[0, 3], 8).unwrap(), expected);
    }

    #[test]
    fn arrays_that_are_no_trees_are_errors() {
        let error = |left: &[i64], right: &[i64], roots: &[i64]| steps(left, right, roots, 4).unwrap_err();
        assert_eq!(error(&[1, 2, 0], &[1, 2, 0], &[0]), "node 0 is below itself");
        assert_eq!(error(&[0], &[0], &[0]), "node 0 is below itself");
        assert_eq!(error(&[1, -1], &[2, -1], &[0]), "the right child of node 0 is 2, of 2 nodes");
        assert_eq!(error(&[1, -1], &[-1, -1], &[0]), "the right child of node 0 is -1, of 2 nodes");
        assert_eq!(error(&[-1], &[-1], &[0, 1]), "the root of tree 1 is 1, of 1 nodes");
    }

    /// No schedule has fewer steps: by all orders of small forests.
    #[test]
    fn no_order_of_a_small_forest_has_fewer_steps() {
        fn fewest(left: &[i64], right: &[i64], done: u32, all: u32, width: usize) -> usize {
            if done == all {
                return 0;
            }
            let there = |child: i64| done >> child & 1 == 1;
            let ready: Vec<usize> = (0..left.len())
                .filter(|&i| all >> i & 1 == 1 && done >> i & 1 == 0 && there(left[i]) && there(right[i]))
                .collect();
            let take = ready.len().min(width);
            (1u32..1 << ready.len())
                .filter(|chosen| chosen.count_ones() as usize == take)
                .map(|chosen| {
                    let chosen = ready.iter().enumerate().filter(|(k, _)| chosen >> k & 1 == 1);
                    let done = chosen.fold(done, |done, (_, i)| done | 1 << i);
                    1 + fewest(left, right, done, all, width)
                })
                .min()
                .expect("something is ready")
        }
        let mut state = 1u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for _ in 0..300 {
            // Grown by making leaves inner nodes.
            let (mut left, mut right) = (vec![-1i64; 2], vec![-1i64; 2]);
            for _ in 0..6 {
                let leaf = loop {
                    let i = random(left.len());
                    if left[i] < 0 {
                        break i;
                    }
                };
                (left[leaf], right[leaf]) = (left.len() as i64, left.len() as i64 + 1);
                left.extend([-1, -1]);
                right.extend([-1, -1]);
            }
            let bits = |of: &dyn Fn(usize) -> bool| {
                (0..left.len()).filter(|&i| of(i)).fold(0, |bits, i| bits | 1 << i)
            };
            for width in 1..4 {
                let schedule = Schedule::new([&left, &right], &[0, 1], [width; 2]).unwrap();
                let found = schedule.starts.len() - 1 - schedule.leaf_steps;
                let (leaves, all) = (bits(&|i| left[i] < 0), bits(&|_| true));
                assert_eq!(found, fewest(&left, &right, leaves, all, width), "{left:?} {right:?} {width}");
            }
        }
    }
}
