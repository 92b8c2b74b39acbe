//! Functions whose patterns are known: that these are found, how many colours they take, and that the matrices are the
//! dense ones, eagerly and compiled.

use antiphon::check::RunsOn;
use antiphon::control::scan;
use antiphon::{Int, IntTensor, Mask, OrRaise, Padding, Params, Real, Tensor, Var, grad, program};

use crate::case::{Function, Point, Weighted, check_hessian, check_jacobian, compiled, numbers};

/// Whether there is an entry in a row and a column.
type Rule = fn(usize, usize) -> bool;

#[track_caller]
fn assert_rule(what: &str, pattern: &antiphon::Sparsity, rule: Rule) {
    let [m, n] = pattern.shape();
    let expected = (0..m).flat_map(|i| (0..n).map(move |j| (i, j))).filter(|&(i, j)| rule(i, j));
    assert_eq!(pattern.entries().collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{what}");
}

#[track_caller]
fn jacobian_is(what: &str, f: &impl Function, x: &Point, rule: Rule, colors: usize) {
    let pattern = check_jacobian(what, f, x);
    assert_rule(what, &pattern, rule);
    assert_eq!(pattern.jacobian_colors(), colors, "{what}");
    compiled::check_jacobian(what, f, x, &pattern);
}

#[track_caller]
fn hessian_is(what: &str, f: &impl Function, x: &Point, rule: Rule, colors: usize) {
    let pattern = check_hessian(what, f, x);
    assert_rule(what, &pattern, rule);
    assert_eq!(pattern.hessian_colors().unwrap(), colors, "{what}");
    compiled::check_hessian(what, f, x, &pattern);
}

fn part<T: Tensor>(x: &T, range: std::ops::Range<usize>) -> T {
    x.slice(0, range)
}

fn matrix<T: Tensor>(n: usize, element: fn(usize, usize) -> f64) -> T {
    let elements: Vec<f64> = (0..n * n).map(|i| element(i / n, i % n)).collect();
    T::from_elements(&[n, n], &elements).or_raise()
}

#[test]
fn a_nonlinear_laplacian_is_tridiagonal() {
    let near: Rule = |i, j| i.abs_diff(j) <= 1;
    let shifted = program!(|x| {
        let (u, n) = (&x[0], x[0].size());
        let around = u.pad(0, Padding { before: 1, after: 1, interior: 0 });
        u.clone() * 2.0 - part(&around, 0..n) - part(&around, 2..n + 2) + u.exp()
    });
    jacobian_is("by shifts", &shifted, &vec![numbers(&[12], 1)], near, 3);
    // A matrix of differences, of which most elements are zero.
    let product = program!(|x| {
        let laplacian =
            matrix::<T>(x[0].size(), |i, j| [2.0, -1.0].get(i.abs_diff(j)).copied().unwrap_or(0.0));
        laplacian.matmul(&x[0]) + x[0].exp()
    });
    jacobian_is("by a matrix", &product, &vec![numbers(&[12], 1)], near, 3);
    // As its own gradient's Jacobian.
    let gradient = program!(|x| {
        grad(
            |u: Var<'_, T>| {
                let n = u.size();
                let steps = part(&u, 1..n) - part(&u, 0..n - 1);
                steps.square().sum(..) * 0.5 + u.exp().sum(..)
            },
            &x[0],
        )
        .or_raise()
    });
    jacobian_is("by a gradient", &gradient, &vec![numbers(&[12], 1)], near, 3);
}

#[test]
fn a_banded_system_takes_as_many_colors_as_its_band_is_wide() {
    // Broyden's: `xᵢ(2 + 5xᵢ²) + 1 − Σ xⱼ(1 + xⱼ)` over five neighbours before and one after.
    let broyden = program!(|x| {
        let (x, n) = (&x[0], x[0].size());
        let terms = (x.clone() * (x.clone() + 1.0)).pad(0, Padding { before: 5, after: 1, interior: 0 });
        let mut y = x.clone() * (x.square() * 5.0 + 2.0) + 1.0;
        for shift in (0..7).filter(|&shift| shift != 5) {
            y -= part(&terms, shift..shift + n);
        }
        y
    });
    jacobian_is("Broyden", &broyden, &vec![numbers(&[16], 1)], |i, j| i <= j + 5 && j <= i + 1, 7);
}

#[test]
fn a_dense_column_is_taken_forward_and_a_dense_row_in_reverse() {
    let column = program!(|x| x[0].square() * x[0].index(0, 0));
    jacobian_is("column", &column, &vec![numbers(&[9], 1)], |i, j| j == 0 || i == j, 2);
    let row = program!(|x| {
        T::concat(&[x[0].sum(..).sin().unsqueeze(0), x[0].square().slice(0, 1..x[0].size())], 0)
    });
    jacobian_is("row", &row, &vec![numbers(&[9], 1)], |i, j| i == 0 || i == j, 2);
    // Differences of all pairs of four: all columns meet, and the pairs are three rounds of a tournament.
    let pairs = (0..4).flat_map(|i| (0..i).map(move |j| (i, j))).enumerate();
    let entries = pairs.flat_map(|(row, (i, j))| [(row, i), (row, j)]);
    assert_eq!(antiphon::Sparsity::from_entries([6, 4], entries).unwrap().jacobian_colors(), 3);
    // Of both there is no use.
    let both = program!(|x| {
        T::concat(&[x[0].sum(..).sin().unsqueeze(0), x[0].slice(0, 1..x[0].size()) * x[0].index(0, 0)], 0)
    });
    jacobian_is("both", &both, &vec![numbers(&[9], 1)], |i, j| i == 0 || j == 0 || i == j, 9);
}

#[test]
fn hessians_of_arrowheads_take_two_colors() {
    let arrow = program!(|x| {
        let (tip, shaft) = (x[0].index(0, 0), x[0].slice(0, 1..x[0].size()));
        tip.square() * shaft.square().sum(..)
    });
    hessian_is("first", &arrow, &vec![numbers(&[9], 1)], |i, j| i == 0 || j == 0 || i == j, 2);
    // Without the rest of the diagonal.
    let linear = program!(|x| (x[0].slice(0, 0..8) * x[0].index(0, 8)).sum(..));
    hessian_is("last", &linear, &vec![numbers(&[9], 1)], |i, j| (i == 8) != (j == 8), 2);
    // Two stars whose tips are connected.
    let two = program!(|x| {
        let tips = [x[0].index(0, 0), x[0].index(0, 5)];
        let stars = tips[0].clone() * part(&x[0], 1..5).square().sum(..)
            + tips[1].clone() * part(&x[0], 6..10).square().sum(..);
        stars + tips[0].sin() * tips[1].sin()
    });
    let rule: Rule = |i, j| {
        let (i, j) = (i.min(j), i.max(j));
        (i == j) || (i == 0 && j <= 5) || (i == 5)
    };
    hessian_is("two", &two, &vec![numbers(&[10], 1)], rule, 3);
}

#[test]
fn hessians_of_chains_are_tridiagonal() {
    let near: Rule = |i, j| i.abs_diff(j) <= 1;
    let slices = program!(|x| {
        let n = x[0].size();
        let (left, right) = (part(&x[0], 0..n - 1), part(&x[0], 1..n));
        ((right - left.square()).square() * 100.0 + (left.ones_like() - left).square()).sum(..)
    });
    hessian_is("Rosenbrock", &slices, &vec![numbers(&[11], 1)], near, 3);
    let elements = program!(|x| {
        let mut sum = T::constant(0.0);
        for i in 0..x[0].size() - 1 {
            let (left, right) = (x[0].index(0, i), x[0].index(0, i + 1));
            sum += (right - left.square()).square() * 100.0 + (left.ones_like() - left).square();
        }
        sum
    });
    hessian_is("Rosenbrock by elements", &elements, &vec![numbers(&[11], 1)], near, 3);
    let scanned = program!(|x| {
        let step = |(before, sum): (T, T), after: T| {
            let sum = sum + (after.clone() * before.sin()).square();
            ((after.clone(), sum), after)
        };
        let rest = part(&x[0], 1..x[0].size());
        scan((x[0].index(0, 0), T::constant(0.0)), &rest, step).or_raise().0.1
    });
    hessian_is("scan", &scanned, &vec![numbers(&[11], 1)], near, 3);
}

#[test]
fn blocks_on_the_diagonal_take_as_many_colors_as_a_block_has_columns() {
    let squares = program!(|x| x[0].matmul(&x[0]));
    // Rows of the product by rows and columns of the factor, in blocks of nine.
    let rule: Rule = |i, j| i / 9 == j / 9 && (i % 9 / 3 == j % 9 / 3 || i % 3 == j % 3);
    jacobian_is("squares", &squares, &vec![numbers(&[4, 3, 3], 1)], rule, 9);
    let rows = program!(|x| x[0].sum(1).exp().sum(..));
    hessian_is("rows", &rows, &vec![numbers(&[5, 4], 1)], |i, j| i / 4 == j / 4, 4);
}

/// Cameras of 11 numbers, points of 3, weights of observations; of which camera and point each observation is.
#[test]
fn a_bundle_adjustment_has_blocks_of_two_by_fifteen() {
    const CAMERA: [usize; 6] = [0, 1, 0, 1, 2, 2];
    const POINT: [usize; 6] = [0, 0, 1, 2, 1, 2];
    let adjustment = program!(|x| {
        let ints = |x: [usize; 6]| T::Int::from_elements(&[6], &x.map(|i| i as i64)).or_raise();
        let (camera, point) = (x[0].gather_rows(&ints(CAMERA)), x[1].gather_rows(&ints(POINT)));
        let of_camera = |from: usize, to: usize| camera.slice(1, from..to);
        let moved = (point - of_camera(3, 6)) * of_camera(0, 3).exp();
        let turned = moved.clone() + moved.sum(1).unsqueeze(1) * of_camera(0, 3);
        let plane = turned.slice(1, 0..2) / (turned.slice(1, 2..3) + 9.0);
        let square = plane.square().sum(1).unsqueeze(1);
        let lens = square.clone() * of_camera(9, 10) + square.square() * of_camera(10, 11) + 1.0;
        (plane * lens * of_camera(6, 7) + of_camera(7, 9)) * x[2].unsqueeze(1)
    });
    let x = vec![numbers(&[3, 11], 1), numbers(&[3, 3], 2), numbers(&[6], 3)];
    let rule: Rule = |i, j| {
        let seen = i / 2;
        match j {
            // Of the principal point each coordinate has its own.
            0..33 => j / 11 == CAMERA[seen] && !(j % 11 == 7 && i % 2 == 1 || j % 11 == 8 && i % 2 == 0),
            33..42 => (j - 33) / 3 == POINT[seen],
            _ => j - 42 == seen,
        }
    };
    // Each point has two cameras and each camera two points: 2·(10 + 3 + 1) columns, less what is shared.
    let pattern = check_jacobian("bundle", &adjustment, &x);
    assert_rule("bundle", &pattern, rule);
    assert!(
        pattern.jacobian_colors() <= 12,
        "rows of observations that share nothing, or columns: {pattern:?}"
    );
    compiled::check_jacobian("bundle", &adjustment, &x, &pattern);
    let pattern = check_hessian("bundle", &Weighted(&adjustment), &x);
    compiled::check_hessian("bundle", &Weighted(&adjustment), &x, &pattern);
}

#[test]
fn embeddings_depend_on_the_rows_that_they_look_up() {
    let lookup = program!(|x| {
        let words = T::Int::from_elements(&[4], &[5, 2, 5, 0]).or_raise();
        x[0].gather_rows(&words).matmul(&x[1]).tanh()
    });
    let x = vec![numbers(&[7, 2], 1), numbers(&[2, 3], 2)];
    let rule: Rule = |i, j| match j {
        0..14 => j / 2 == [5, 2, 5, 0][i / 3],
        _ => (j - 14) % 3 == i % 3,
    };
    // Three columns of the matrix, in turn with two elements of a word's vector.
    jacobian_is("lookup", &lookup, &x, rule, 4);
    // Words that are not looked up have none.
    let pattern = check_hessian("loss", &Weighted(&lookup), &x);
    assert!(pattern.entries().all(|(i, _)| ![2, 3, 6, 7, 8, 9, 12, 13].contains(&i)), "{pattern:?}");
    compiled::check_hessian("loss", &Weighted(&lookup), &x, &pattern);
}

#[test]
fn control_flow_is_followed_where_it_goes() {
    // Each element is squared until it is large, all of them together.
    let rounds = program!(|x| {
        T::while_loop(x[0].clone(), |y| y.max(..).less(&T::constant(50.0)), |y| y.square() + y)
    });
    jacobian_is("while", &rounds, &vec![numbers(&[6], 1)], |i, j| i == j, 1);
    let arms = program!(|x| {
        let small = x[0].index(0, 0).less(&T::constant(100.0));
        T::cond(&small, || x[0].square(), || x[0].clone() * x[0].sum(..))
    });
    jacobian_is("cond", &arms, &vec![numbers(&[6], 1)], |i, j| i == j, 1);
    // Of both arms, whichever is chosen.
    let chosen = program!(|x| T::select(&x[0].less(&T::constant(100.0)), &x[0].square(), &x[0].flip(0)));
    jacobian_is("select", &chosen, &vec![numbers(&[6], 1)], |i, j| i == j || i + j == 5, 2);
    let recursion = program!(|x| {
        T::fix(x[0].clone(), |again, y: T| {
            let small = y.sum(..).less(&T::constant(90.0));
            T::cond(&small, || again(y.clone() * 1.5 + y.flip(0)), || y.clone())
        })
    });
    // Recursion on a number of a batch cannot be recorded.
    let pattern = check_jacobian("fix", &recursion, &vec![numbers(&[6], 1)]);
    assert_rule("fix", &pattern, |i, j| i == j || i + j == 5);
}

#[test]
fn rusts_own_control_flow_sees_values() {
    struct Branch;
    impl<T: Tensor> RunsOn<T> for Branch {
        fn call(&self, x: &[T]) -> T {
            let first = x[0].index(0, 0).less(&T::constant(1.0)).known();
            let largest = x[0].argmax(0).known();
            // In a batch nothing is known; there the way is that of the test's points.
            if first.unwrap_or(true) {
                x[0].index(0, largest.unwrap_or(2) as usize).sin()
            } else {
                x[0].sum(..).sin()
            }
        }
    }
    let x = |first: f64| vec![antiphon::NdArray::from(vec![first, 1.5, 1.75, 1.25])];
    let of = |x: &Point| antiphon::jacobian_sparsity(|x| Branch.call(&x), x).unwrap();
    assert_rule("one", &of(&x(0.5)), |_, j| j == 2);
    assert_rule("all", &of(&x(1.1)), |_, _| true);
}

#[derive(Clone, Params)]
struct Layer<T> {
    weights: T,
    scales: Vec<T>,
}

#[test]
fn structures_are_flattened_leaf_by_leaf() {
    fn apply<T: Tensor>(layer: &Layer<T>) -> T {
        (layer.weights.sum(1) * &layer.scales[0]).sin() + &layer.scales[1]
    }
    let layer = Layer { weights: numbers(&[3, 2], 1), scales: vec![numbers(&[3], 2), numbers(&[], 3)] };
    let pattern = antiphon::jacobian_sparsity(|layer| apply(&layer), &layer).unwrap();
    assert_rule("layer", &pattern, |i, j| match j {
        0..6 => j / 2 == i,
        6..9 => j - 6 == i,
        _ => true,
    });
    let found = antiphon::sparse_jacobian(|layer| apply(&layer), &layer, &pattern).unwrap();
    let dense = antiphon::jacobian(|layer| apply(&layer), &layer).unwrap();
    let flat: Vec<_> = dense.leaves().iter().map(|block| block.reshape(&[3, block.size() / 3])).collect();
    crate::case::assert_near("layer", &found.to_dense().unwrap(), &Tensor::concat(&flat, 1));
    let pattern = antiphon::hessian_sparsity(|layer| apply(&layer).sum(..), &layer).unwrap();
    assert_rule("sum", &pattern, |i, j| {
        let row = |j| if j < 6 { j / 2 } else { j - 6 };
        i < 9 && j < 9 && row(i) == row(j)
    });
}

#[test]
fn dense_matrices_take_all_rows_or_columns() {
    let layer = program!(|x| (x[0].matmul(&x[1])).softmax(0));
    jacobian_is("softmax", &layer, &vec![numbers(&[3, 4], 1), numbers(&[4], 2)], |_, _| true, 3);
    let tall = program!(|x| T::concat(&[x[0].clone() * x[0].sum(..), x[0].log() * x[0].max(..)], 0));
    let pattern = check_jacobian("tall", &tall, &vec![numbers(&[4], 1)]);
    assert_eq!((pattern.nnz(), pattern.jacobian_colors()), (32, 4));
    let product = program!(|x| x[0].square().sum(..).log());
    hessian_is("log", &product, &vec![numbers(&[6], 1)], |_, _| true, 6);
}

#[test]
fn what_depends_on_nothing_has_no_entries() {
    let none: Rule = |_, _| false;
    let constant = program!(|x| x[0].detach() * x[0].sign() + x[0].zeros_like() * &x[0]);
    jacobian_is("constant", &constant, &vec![numbers(&[4], 1)], none, 0);
    let linear = program!(|x| (x[0].clone() * 3.0 - 1.0).sum(..) + x[0].relu().sum(..) + x[0].abs().sum(..));
    hessian_is("linear", &linear, &vec![numbers(&[4], 1)], none, 0);
    let nothing = program!(|x| x[0].slice(0, 2..2).square());
    jacobian_is("no results", &nothing, &vec![numbers(&[4], 1)], none, 0);
    let alone = program!(|x| x[0].square().sum(..).unsqueeze(0));
    jacobian_is("no inputs", &alone, &vec![numbers(&[0], 1)], none, 0);
    let sum = program!(|x| x[0].square().sum(..));
    hessian_is("no inputs", &sum, &vec![numbers(&[0], 1)], none, 0);
    // Next to what has entries.
    let half = program!(|x| T::concat(&[x[0].slice(0, 0..3).square(), T::ones(&[2])], 0));
    jacobian_is("half", &half, &vec![numbers(&[4], 1)], |i, j| i == j && i < 3, 1);
}
