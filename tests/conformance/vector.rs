//! Functions of whole vectors: norms, softmax and its relatives, normalisation, losses, loops over vectors.

use antiphon::{Int, IntTensor};

use crate::array_case::{Entry, constant};
use crate::array_case::{Local, array_cases, function, linear, moved, polynomial, univariate};

/// `e^(xᵢ) / Σ e^x`, by differences of the exponents so that nothing overflows.
fn softmax(x: &[f64]) -> Vec<f64> {
    x.iter().map(|xi| 1.0 / x.iter().map(|xj| (xj - xi).exp()).sum::<f64>()).collect()
}

fn delta(i: usize, j: usize) -> f64 {
    if i == j { 1.0 } else { 0.0 }
}

fn square_matrix(n: usize, entry: impl Fn(usize, usize) -> f64) -> Vec<Vec<f64>> {
    (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect()
}

/// `ln Σ eˣ`: gradient s, Hessian diag(s) − s·sᵀ.
pub fn logsumexp(row: Vec<Entry>) -> Local {
    function(row, |x| {
        let s = softmax(x);
        let hessian = square_matrix(x.len(), |i, j| s[i] * (delta(i, j) - s[j]));
        (x[0] - s[0].ln(), s, hessian)
    })
}

/// Element `k` of softmax: gradient sₖ(δ − s), Hessian sₖ[(δₖᵢ − sᵢ)(δₖⱼ − sⱼ) − sᵢ(δᵢⱼ − sⱼ)].
pub fn softmax_element(row: Vec<Entry>, k: usize) -> Local {
    function(row, |x| {
        let s = softmax(x);
        let off = |i: usize| delta(k, i) - s[i];
        let gradient: Vec<f64> = (0..x.len()).map(|i| s[k] * off(i)).collect();
        let hessian = square_matrix(x.len(), |i, j| s[k] * (off(i) * off(j) - s[i] * (delta(i, j) - s[j])));
        (s[k], gradient, hessian)
    })
}

/// `ln Σ eˣ − x[k]`; element `k` of the logarithm of softmax is its negative.
pub fn cross_entropy(row: Vec<Entry>, k: usize, sign: f64) -> Local {
    function(row, |x| {
        let s = softmax(x);
        let gradient: Vec<f64> = (0..x.len()).map(|i| sign * (s[i] - delta(i, k))).collect();
        let hessian = square_matrix(x.len(), |i, j| sign * s[i] * (delta(i, j) - s[j]));
        (-sign * s[k].ln(), gradient, hessian)
    })
}

/// Element `k` of `(x − mean)/√(variance + ε)`.
///
/// With `d = x − mean`, `v` the variance + ε and `c = I − 1/n`: `∂ᵢyₖ = cₖᵢ v^(−½) − dₖdᵢ v^(−3⁄2)/n`.
pub fn layer_norm(row: Vec<Entry>, k: usize, epsilon: f64) -> Local {
    function(row, |x| {
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let d: Vec<f64> = x.iter().map(|x| x - mean).collect();
        let v = d.iter().map(|d| d * d).sum::<f64>() / n + epsilon;
        let c = |i: usize, j: usize| delta(i, j) - 1.0 / n;
        let gradient: Vec<f64> =
            (0..x.len()).map(|i| c(k, i) * v.powf(-0.5) - d[k] * d[i] * v.powf(-1.5) / n).collect();
        let hessian = square_matrix(x.len(), |i, j| {
            -v.powf(-1.5) / n * (c(k, i) * d[j] + c(k, j) * d[i] + d[k] * c(i, j))
                + 3.0 * v.powf(-2.5) / (n * n) * d[k] * d[i] * d[j]
        });
        (d[k] * v.powf(-0.5), gradient, hessian)
    })
}

/// `xₖ / ‖x‖`.
fn unit_vector(row: Vec<Entry>, k: usize) -> Local {
    function(row, |x| {
        let r = x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let gradient: Vec<f64> = (0..x.len()).map(|i| delta(i, k) / r - x[k] * x[i] / r.powi(3)).collect();
        let hessian = square_matrix(x.len(), |i, j| {
            3.0 * x[k] * x[i] * x[j] / r.powi(5)
                - (delta(i, k) * x[j] + delta(j, k) * x[i] + delta(i, j) * x[k]) / r.powi(3)
        });
        (x[k] / r, gradient, hessian)
    })
}

array_cases! {
    euclidean_norm(x: [4]) {
        f: x.square().sum(..).sqrt(), shape: [],
        element: |_| polynomial((0..4).map(|k| (1.0, vec![x.at([k]), x.at([k])])))
            .then(|s| [s.sqrt(), 0.5 * s.powf(-0.5), -0.25 * s.powf(-1.5)]),
    }
    normalised(x: [3]) {
        f: x.clone() / x.square().sum(..).sqrt(), shape: [3], element: |i| unit_vector(x.all(), i[0]),
    }
    sum_of_sines(x: [4]) {
        f: x.sin().sum(..), shape: [],
        element: |_| function(x.all(), |x| {
            let gradient: Vec<f64> = x.iter().map(|x| x.cos()).collect();
            (x.iter().map(|x| x.sin()).sum(), gradient, square_matrix(4, |i, j| -delta(i, j) * x[i].sin()))
        }),
    }
    mean_squared_error(x: [3], y: [3]) {
        f: (x - y).square().mean(..), shape: [],
        element: |_| polynomial((0..3).flat_map(|k| {
            let (x, y, third) = (x.at([k]), y.at([k]), 1.0 / 3.0);
            [(third, vec![x, x]), (-2.0 * third, vec![x, y]), (third, vec![y, y])]
        })),
    }
    softmax_of_a_vector(x: [4]) {
        f: x.softmax(0), shape: [4], element: |i| softmax_element(x.all(), i[0]),
    }
    softmax_by_hand(x: [3]) {
        f: { let e = x.exp(); e.clone() / e.sum(..) }, shape: [3], element: |i| softmax_element(x.all(), i[0]),
    }
    softmax_of_rows(x: [2, 3]) {
        f: x.softmax(-1), shape: [2, 3],
        element: |i| softmax_element((0..3).map(|k| x.at([i[0], k])).collect(), i[1]),
    }
    softmax_of_columns(x: [2, 3]) {
        f: x.softmax(0), shape: [2, 3],
        element: |i| softmax_element((0..2).map(|k| x.at([k, i[1]])).collect(), i[0]),
    }
    log_softmax_of_rows(x: [2, 3]) {
        f: x.log_softmax(1), shape: [2, 3],
        element: |i| cross_entropy((0..3).map(|k| x.at([i[0], k])).collect(), i[1], -1.0),
    }
    cross_entropy_of_a_batch(x: [3, 4]) {
        f: x.cross_entropy(&T::Int::from_elements(&[3], &[2, 0, 2]).expect("three elements")), shape: [3],
        element: |i| cross_entropy((0..4).map(|k| x.at([i[0], k])).collect(), [2, 0, 2][i[0]], 1.0),
    }
    cross_entropy_of_one_row(x: [4]) {
        f: x.cross_entropy(&T::Int::constant(3)), shape: [], element: |_| cross_entropy(x.all(), 3, 1.0),
    }
    layer_norm_of_rows(x: [2, 4]) {
        f: {
            let centred = x.clone() - x.mean(-1).unsqueeze(-1);
            centred / (x.var(-1) + 1e-5).sqrt().unsqueeze(-1)
        },
        shape: [2, 4],
        element: |i| layer_norm((0..4).map(|k| x.at([i[0], k])).collect(), i[1], 1e-5),
    }
    unused_vector(x: [3], y: [2]) {
        f: x.square(), shape: [3], element: |i| polynomial([(1.0, vec![x.at(i), x.at(i)])]),
    }
    unused_logarithm_of_zero(x: [2] = [0.0, 0.0]) {
        f: { let _nan = x.log() * &x; x.exp() }, shape: [2], element: |i| univariate(x.at(i), |x| [x.exp(); 3]),
    }
    result_without_inputs(x: [3]) {
        f: T::ones(&[2]) * 3.0, shape: [2], element: |_| constant(3.0),
    }
    detached_vector(x: [3]) {
        f: x.detach() * 2.0, shape: [3], element: |i| constant(2.0 * x.array.elements[i[0]]), kink,
    }
    dropout_of_nothing(x: [4]) {
        f: x.dropout(0.0, &T::Int::constant(7)), shape: [4], element: |i| moved(x.at(i)),
    }
    dropout_is_decided_by_its_seed(x: [40]) {
        // Where `1` is kept, half of the kept x is x again; elsewhere nothing may come through.
        f: {
            let seed = T::Int::constant(11);
            let (dropped, ones) = (x.dropout(0.5, &seed), x.ones_like().dropout(0.5, &seed));
            let kept = ones.greater(&T::constant(1.0));
            T::select(&kept, &(dropped.clone() * 0.5), &(x + dropped))
        },
        shape: [40], element: |i| moved(x.at(i)),
    }
    product_of_all(x: [5]) {
        f: (1..5).fold(x.index(0, 0), |product, i| product * x.index(0, i)), shape: [],
        element: |_| polynomial([(1.0, x.all())]),
    }
    product_by_a_tree(x: [4]) {
        f: T::fix(x, |tree: &dyn Fn(T) -> T, x: T| {
            let half = x.size() / 2;
            if half == 0 { x } else { tree(x.slice(0, 0..half)) * tree(x.slice(0, half..2 * half)) }
        }),
        shape: [1], element: |_| polynomial([(1.0, x.all())]),
    }
    doubled_until_large(x: [3] = [0.5, -1.0, 2.0]) {
        // Σ|x| = 3.5 → 7 → 14
        f: T::while_loop(x, |x| x.abs().sum(..).less(&T::constant(10.0)), |x| x * 2.0), shape: [3],
        element: |i| linear([(4.0, x.at(i))]),
    }
    branch_on_a_reduction(x: [3], y: [3]) {
        f: T::cond(
            &x.square().sum(..).less(&T::constant(100.0)),
            || x.clone() * &y,
            || x.exp(),
        ) * &y,
        shape: [3], element: |i| polynomial([(1.0, vec![x.at(i), y.at(i), y.at(i)])]),
    }
    prefix_sums(x: [4]) {
        f: {
            let mut sums = vec![x.index(0, 0)];
            for i in 1..4 {
                sums.push(sums[i - 1].clone() + x.index(0, i));
            }
            T::stack(&sums, 0)
        },
        shape: [4], element: |i| linear((0..=i[0]).map(|k| (1.0, x.at([k])))),
    }
    polynomial_of_a_vector(x: [3]) {
        f: [2.0, -3.0, 1.0].iter().fold(x.zeros_like(), |sum, &k| sum * &x + k), shape: [3],
        element: |i| univariate(x.at(i), |x| [2.0 * x * x - 3.0 * x + 1.0, 4.0 * x - 3.0, 4.0]),
    }
}
