//! The largest norm of a pair of layers over all `σ`, by branch and bound.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use faer::{Mat, Scale};

use super::certificate::{gamma, magnitude};
use super::limit::{Deadline, TimeUp};
use super::matrix::{norm_at_most, norm_at_most_of};
use super::pair::Pair;
use super::semidefinite::{Point, Program};

/// The relative difference between the largest norm that was found and the bound, at most.
const TOLERANCE: f64 = 1e-10;

/// Some of `σ` fixed, and a bound over the others.
struct Node {
    fixed: Vec<Option<bool>>,
    bound: f64,
    /// A point of the program of the node above.
    start: Option<Point>,
}

/// What is known of a node.
struct Bounded {
    /// No `σ` of it is above that, rounding counted.
    bound: f64,
    /// The neuron to fix next; nothing if all are.
    neuron: Option<usize>,
    /// A `σ` of it that the program suggests.
    candidate: Option<Vec<bool>>,
    start: Option<Point>,
}

impl Pair {
    /// The largest norm over all `σ ∈ {α, β}ⁿ`, at least so, and above it by a part of 10⁻¹⁰ at most.
    ///
    /// # Errors
    /// If there is no time left.
    pub(super) fn largest(&self, deadline: Deadline) -> Result<f64, TimeUp> {
        let [of_left, of_right] = [self.left.as_ref(), self.right.as_ref()].map(norm_at_most);
        if of_left * of_right * self.slopes.largest() == 0.0 {
            return Ok(0.0);
        }
        let (_, mut found) = self.greedy();
        // Over all that need not be looked at any further.
        let mut upper: f64 = 0.0;
        let root = Node { fixed: vec![None; self.neurons()], bound: f64::INFINITY, start: None };
        let mut queue = BinaryHeap::from([root]);
        while let Some(node) = queue.pop() {
            let enough = found * (1.0 + TOLERANCE);
            if node.bound <= enough {
                // All that are left have lower bounds.
                return Ok(upper.max(node.bound));
            }
            deadline.check()?;
            let bounded = self.bound(&node, enough, deadline)?;
            let bound = bounded.bound.min(node.bound);
            if let Some(mut high) = bounded.candidate {
                found = found.max(self.climb(&mut high));
            }
            let Some(neuron) = bounded.neuron.filter(|_| bound > found * (1.0 + TOLERANCE)) else {
                upper = upper.max(bound);
                continue;
            };
            for value in [true, false] {
                let mut fixed = node.fixed.clone();
                fixed[neuron] = Some(value);
                queue.push(Node { fixed, bound, start: bounded.start.clone() });
            }
        }
        Ok(upper)
    }

    /// A bound over all `σ` with these parts, by the semidefinite program for those that are free, which ends early
    /// where it is certainly at most `enough`, or is not.
    fn bound(&self, node: &Node, enough: f64, deadline: Deadline) -> Result<Bounded, TimeUp> {
        let (free, kept): (Vec<usize>, Vec<usize>) =
            (0..self.neurons()).partition(|&i| node.fixed[i].is_none());
        let (inputs, outputs) = (self.right.ncols(), self.left.nrows());
        // The output by the input through the neurons that are fixed, and its rounding.
        let scaled = Mat::from_fn(kept.len(), inputs, |i, j| {
            self.slope(node.fixed[kept[i]] == Some(true)) * self.right[(kept[i], j)]
        });
        let left = Mat::from_fn(outputs, kept.len(), |i, j| self.left[(i, kept[j])]);
        let linear = &left * &scaled;
        let error = (magnitude(left.as_ref()) * magnitude(scaled.as_ref())) * Scale(gamma(kept.len() + 6));
        if free.is_empty() {
            let bound = norm_at_most_of(linear.as_ref(), error.as_ref());
            return Ok(Bounded { bound, neuron: None, candidate: None, start: None });
        }
        let rows = Mat::from_fn(free.len(), inputs + free.len(), |i, j| {
            if j < inputs { self.right[(free[i], j)] } else { 0.0 }
        });
        let output = Mat::from_fn(outputs, inputs + free.len(), |i, j| {
            if j < inputs { linear[(i, j)] } else { self.left[(i, free[j - inputs])] }
        });
        let output_error =
            Mat::from_fn(outputs, inputs + free.len(), |i, j| if j < inputs { error[(i, j)] } else { 0.0 });
        let program = Program::new(inputs, rows.as_ref(), output, self.slopes);
        let unknown = Bounded { bound: f64::INFINITY, neuron: Some(free[0]), candidate: None, start: None };
        let Some(start) = self.start(&program, node, &free) else { return Ok(unknown) };
        let target = (enough * (1.0 - 0.1 * TOLERANCE)).powi(2);
        let Some(solution) = program.solve(start, 0.2 * TOLERANCE, Some(target), deadline)? else {
            return Ok(unknown);
        };
        let bound = program.certified(&solution.point, output_error.as_ref());
        // How the worst input drives the free neurons, and which part of that they give.
        let moments = &solution.moments;
        let share = |i: usize| {
            let (mut square, mut cross) = (0.0, 0.0);
            for a in 0..inputs {
                cross += rows[(i, a)] * moments[(a, inputs + i)];
                square += (0..inputs).map(|b| rows[(i, a)] * moments[(a, b)] * rows[(i, b)]).sum::<f64>();
            }
            (if square > 0.0 { cross / square } else { self.slopes.low }, square)
        };
        let shares: Vec<(f64, f64)> = (0..free.len()).map(share).collect();
        let undecided = |i: usize| {
            let (share, square) = shares[i];
            (share - self.slopes.low).min(self.slopes.high - share).max(0.0) * square.max(0.0)
        };
        let neuron = (0..free.len()).max_by(|&a, &b| undecided(a).total_cmp(&undecided(b)));
        let mut candidate: Vec<bool> = node.fixed.iter().map(|fixed| fixed.unwrap_or(true)).collect();
        for (i, &(share, _)) in free.iter().zip(&shares) {
            candidate[*i] = share > self.slopes.mean();
        }
        let mut lambda = vec![0.0; self.neurons()];
        free.iter().zip(&solution.point.lambda).for_each(|(&i, &l)| lambda[i] = l);
        let start = Some(Point { rho: solution.point.rho, lambda });
        Ok(Bounded { bound, neuron: neuron.map(|i| free[i]), candidate: Some(candidate), start })
    }

    /// A point within the program: that of the node above, made larger until it is.
    fn start(&self, program: &Program, node: &Node, free: &[usize]) -> Option<Point> {
        let [of_left, of_right] = [self.left.as_ref(), self.right.as_ref()].map(norm_at_most);
        let largest = self.slopes.largest();
        let least = 2.0 * of_left * of_left;
        let mut point = match &node.start {
            Some(point) => Point {
                rho: 4.0 * (point.rho + (of_left * of_right * largest).powi(2)),
                lambda: free.iter().map(|&i| point.lambda[i].max(least)).collect(),
            },
            None => Point {
                rho: 16.0 * (of_left * of_right * (1.0 + largest)).powi(2),
                lambda: vec![least; free.len()],
            },
        };
        for _ in 0..60 {
            if program.is_inside(&point) {
                return Some(point);
            }
            point.rho *= 2.0;
        }
        None
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Node {}
impl PartialOrd for Node {
    fn partial_cmp(&self, other: &Node) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Node {
    fn cmp(&self, other: &Node) -> Ordering {
        self.bound.total_cmp(&other.bound)
    }
}
