//! Elementwise operators, reductions and products, over all shapes and layouts.

use antiphon::{NdArray, NdBool, NdInt, Real, Tensor};
use proptest::prelude::*;

use super::reference::{
    Plain, any_array, any_layout, any_pair, any_partner, any_plain, assert_close, indices, laid_out,
};

fn mask(m: &NdBool) -> Vec<bool> {
    m.view().iter().copied().collect()
}

type Unary = (&'static str, fn(&NdArray<f64>) -> NdArray<f64>, fn(f64) -> f64);
type Binary = (&'static str, fn(&NdArray<f64>, &NdArray<f64>) -> NdArray<f64>, fn(f64, f64) -> f64);
type Comparison = (fn(&NdArray<f64>, &NdArray<f64>) -> NdBool, fn(f64, f64) -> bool);

const UNARY: [Unary; 22] = [
    ("neg", |x| -x.clone(), |x| -x),
    ("recip", |x| x.recip(), |x| 1.0 / x),
    ("abs", |x| x.abs(), f64::abs),
    ("sign", |x| x.sign(), |x| if x == 0.0 { 0.0 } else { x.signum() }),
    ("exp", |x| x.exp(), f64::exp),
    ("expm1", |x| x.expm1(), f64::exp_m1),
    ("log", |x| x.log(), f64::ln),
    ("log1p", |x| x.log1p(), f64::ln_1p),
    ("sqrt", |x| x.sqrt(), f64::sqrt),
    ("sin", |x| x.sin(), f64::sin),
    ("cos", |x| x.cos(), f64::cos),
    ("tan", |x| x.tan(), f64::tan),
    ("tanh", |x| x.tanh(), f64::tanh),
    ("sigmoid", |x| x.sigmoid(), |x| 1.0 / (1.0 + (-x).exp())),
    ("softplus", |x| x.softplus(), |x| x.exp().ln_1p()),
    ("relu", |x| x.relu(), |x| x.max(0.0)),
    ("erf", |x| x.erf(), libm::erf),
    ("powi", |x| x.powi(3), |x| x * x * x),
    ("clamp", |x| x.clamp(-0.5, 1.0), |x| x.clamp(-0.5, 1.0)),
    ("scale", |x| x * 0.5, |x| x * 0.5),
    ("divide", |x| x.clone() / 0.5, |x| x / 0.5),
    ("offset", |x| x.clone() + 3.0 - 1.0, |x| x + 3.0 - 1.0),
];

const BINARY: [Binary; 14] = [
    ("add", |x, y| x + y, |x, y| x + y),
    ("sub", |x, y| x - y, |x, y| x - y),
    ("mul", |x, y| x * y, |x, y| x * y),
    ("div", |x, y| x / y, |x, y| x / y),
    ("strong_mul", |x, y| x.strong_mul(y), |x, y| x * y),
    ("pow", |x, y| x.pow(y), f64::powf),
    ("maximum", |x, y| x.maximum(y), f64::max),
    ("minimum", |x, y| x.minimum(y), f64::min),
    // The left operand is nobody else's: the result may take its place.
    ("sub into", |x, y| x * 1.0 - y, |x, y| x - y),
    ("div into", |x, y| (x * 1.0) / y, |x, y| x / y),
    // Only the right operand is.
    ("sub from", |x, y| x.clone() - y * 1.0, |x, y| x - y),
    ("div from", |x, y| x.clone() / (y * 1.0), |x, y| x / y),
    // Both are.
    ("sub both", |x, y| x * 1.0 - y * 1.0, |x, y| x - y),
    // Both are, and one uniquely held view.
    ("add views", |x, y| (x * 1.0).transpose().transpose() + y * 1.0, |x, y| x + y),
];

const COMPARISONS: [Comparison; 6] = [
    (|x, y| x.less(y), |x, y| x < y),
    (|x, y| x.less_equal(y), |x, y| x <= y),
    (|x, y| x.equal(y), |x, y| x == y),
    (|x, y| x.greater(y), |x, y| x > y),
    (|x, y| x.greater_equal(y), |x, y| x >= y),
    (|x, y| x.not_equal(y), |x, y| x != y),
];

proptest! {
    #[test]
    fn unary((x, view) in any_array()) {
        for (_, f, definition) in UNARY {
            assert_close(&f(&view), &x.zip(&x, |x, _| definition(x)));
        }
        assert_close(&view, &x);
    }

    #[test]
    fn binary(((x, a), (y, b)) in any_pair()) {
        for (_, f, definition) in BINARY {
            assert_close(&f(&a, &b), &x.zip(&y, definition));
        }
        for (f, definition) in COMPARISONS {
            let expected = x.zip(&y, |x, y| f64::from(u8::from(definition(x, y))));
            let got = f(&a, &b);
            assert_close(&NdArray::from_mask(&got), &expected);
            prop_assert_eq!(mask(&got).len(), expected.data.len());
        }
        // Whoever else holds an operand sees nothing of it.
        assert_close(&a, &x);
        assert_close(&b, &y);
    }

    #[test]
    fn select(((x, a), (y, b)) in any_pair()) {
        let quarter = NdArray::constant(0.25);
        let got = NdArray::select(&a.less(&quarter), &b, &a);
        let expected = x.zip(&y, |x, y| if x < 0.25 { y } else { x });
        assert_close(&got, &expected);
    }

    #[test]
    fn unbroadcast_undoes_broadcasting(
        ((x, a), (_, b)) in any_array().prop_flat_map(|x| {
            let partner = any_partner(x.0.shape.clone());
            (Just(x), partner)
        })
    ) {
        // ⟨broadcast(b), x⟩ = ⟨b, unbroadcast(x)⟩.
        let stretched = b.broadcast_to(&x.shape);
        prop_assert!(stretched.shape()[..] == x.shape[..]);
        let left = (stretched * &a).sum(..).item();
        let right = (a.unbroadcast(&b) * &b).sum(..).item();
        prop_assert!((left - right).abs() < 1e-9, "{} {}", left, right);
    }

    #[test]
    fn reductions((x, view) in any_array(), chosen in prop::collection::vec(any::<bool>(), 4)) {
        let axes: Vec<usize> = (0..x.shape.len()).filter(|&axis| chosen[axis]).collect();
        assert_close(&view.sum(&axes[..]), &x.reduce(&axes, |part| part.iter().sum()));
        assert_close(&view.logsumexp(&axes[..]), &x.reduce(&axes, |part| part.iter().map(|x| x.exp()).sum::<f64>().ln()));
        if axes.iter().all(|&axis| x.shape[axis] > 0) {
            assert_close(&view.max(&axes[..]), &x.reduce(&axes, |part| part.iter().copied().fold(f64::NEG_INFINITY, f64::max)));
            assert_close(&view.min(&axes[..]), &x.reduce(&axes, |part| part.iter().copied().fold(f64::INFINITY, f64::min)));
        }
        for axis in (0..x.shape.len()).filter(|&axis| x.shape[axis] > 0) {
            let first = x.reduce(&[axis], |part| {
                let max = part.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                part.iter().position(|&x| x == max).unwrap() as f64
            });
            assert_close(&NdArray::from_int(&view.argmax(axis as isize)), &first);
        }
    }

    #[test]
    fn long_sums_are_accurate(n in 0..5000usize) {
        let ones = NdArray::<f32>::full(&[n], 0.1);
        let exact = n as f64 * f64::from(0.1f32);
        prop_assert!((f64::from(ones.sum(0).item()) - exact).abs() <= 1e-6 * exact);
    }
}

/// Operands of a batched product: batches that broadcast, and inner dimensions that fit.
fn any_product() -> impl Strategy<Value = ((Plain, NdArray<f64>), (Plain, NdArray<f64>))> {
    let sizes = (0..4usize, 0..4usize, 0..4usize);
    let batch = prop::collection::vec((1..3usize, any::<bool>(), any::<bool>()), 0..3);
    (sizes, batch, 0..3usize, any_layout(), any_layout()).prop_flat_map(|((m, k, n), batch, lead, p, q)| {
        let mut a: Vec<usize> = batch.iter().map(|&(n, one, _)| if one { 1 } else { n }).collect();
        let mut b: Vec<usize> = batch.iter().map(|&(n, _, one)| if one { 1 } else { n }).skip(lead).collect();
        a.extend([m, k]);
        b.extend([k, n]);
        (any_plain(a), any_plain(b)).prop_map(move |(a, b)| {
            let (view_a, view_b) = (laid_out(&a, &p), laid_out(&b, &q));
            ((a, view_a), (b, view_b))
        })
    })
}

fn matmul(a: &Plain, b: &Plain) -> Plain {
    let ([batch_a @ .., m, k], [batch_b @ .., _, n]) = (&a.shape[..], &b.shape[..]) else { unreachable!() };
    let mut shape = super::reference::broadcast(batch_a, batch_b);
    shape.extend([*m, *n]);
    Plain::from_fn(&shape, |at| {
        let (batch, [i, j]) = at.split_at(at.len() - 2) else { unreachable!() };
        (0..*k).map(|l| a.at(&[batch, &[*i, l]].concat()) * b.at(&[batch, &[l, *j]].concat())).sum()
    })
}

proptest! {
    #[test]
    fn products(((x, a), (y, b)) in any_product()) {
        let expected = matmul(&x, &y);
        assert_close(&a.matmul(&b), &expected);
        // Once into an empty accumulator, once on top.
        let adjoint = a.adjoint();
        NdArray::accumulate_matmul(&adjoint, &a, &b);
        NdArray::accumulate_matmul(&adjoint, &a, &b);
        assert_close(&NdArray::take_adjoint(&adjoint).unwrap(), &expected.zip(&expected, |x, y| x + y));
        prop_assert!(NdArray::take_adjoint(&adjoint).is_none());
    }

    #[test]
    fn products_with_vectors((x, a) in (0..4usize, 0..4usize).prop_flat_map(|(m, k)| {
        (any_plain(vec![m, k]), any_layout()).prop_map(|(x, layout)| (x.clone(), laid_out(&x, &layout)))
    })) {
        let (m, k) = (x.shape[0], x.shape[1]);
        let (left, right) = (Plain::from_fn(&[m], |i| i[0] as f64 - 1.0), Plain::from_fn(&[k], |i| i[0] as f64 + 0.5));
        assert_close(&a.matmul(&right.nd()), &Plain::from_fn(&[m], |i| (0..k).map(|j| x.at(&[i[0], j]) * right.data[j]).sum()));
        assert_close(&left.nd().matmul(&a), &Plain::from_fn(&[k], |j| (0..m).map(|i| x.at(&[i, j[0]]) * left.data[i]).sum()));
        assert_close(&left.nd().matmul(&left.nd()), &Plain::from_fn(&[], |_| left.data.iter().map(|x| x * x).sum()));
    }
}

#[test]
fn products_of_all_sizes_agree_with_the_definition() {
    // Sizes around the blocks of the kernels.
    for m in [1, 2, 7, 20, 33] {
        for k in [1, 5, 16, 50, 113] {
            for n in [1, 3, 17, 64] {
                let a = Plain::from_fn(&[m, k], |i| ((i[0] * 7 + i[1] * 3) % 11) as f64 - 5.0);
                let b = Plain::from_fn(&[k, n], |i| ((i[0] * 5 + i[1] * 2) % 13) as f64 - 6.0);
                let expected = matmul(&a, &b);
                assert_close(&a.nd().matmul(&b.nd()), &expected);
                let turned = b.nd().transpose() * 1.0;
                assert_close(&a.nd().matmul(&turned.transpose()), &expected);
                let turned = a.nd().transpose() * 1.0;
                assert_close(&turned.transpose().matmul(&b.nd()), &expected);
            }
        }
    }
}

#[test]
fn products_of_few_terms_add_up_however_many_they_are() {
    // So large that they are collected, and so many that they are added before the end; others and sums in between.
    let (m, n) = (40, 50);
    for count in [1, 3, 60, 300] {
        let adjoint = Plain::from_fn(&[m, n], |_| 0.0).nd().adjoint();
        let mut expected = Plain::from_fn(&[m, n], |_| 0.0);
        for number in 0..count {
            let terms = [0, 1, 2, 5, 8, 9][number % 6];
            let x = Plain::from_fn(&[terms, m], |i| ((i[0] * 7 + i[1] * 3 + number) % 11) as f64 - 5.0);
            let y = Plain::from_fn(&[terms, n], |i| ((i[0] * 5 + i[1] * 2 + number) % 13) as f64 - 6.0);
            NdArray::accumulate_matmul(&adjoint, &x.nd().transpose(), &y.nd());
            let transposed = Plain::from_fn(&[m, terms], |i| x.at(&[i[1], i[0]]));
            expected = expected.zip(&matmul(&transposed, &y), |x, y| x + y);
            if number % 7 == 3 {
                NdArray::accumulate(&adjoint, expected.nd());
                expected = expected.zip(&expected, |x, y| x + y);
            }
        }
        let (found, scale) = (
            NdArray::take_adjoint(&adjoint).unwrap(),
            1.0 / expected.data.iter().fold(1.0, |m: f64, x| m.max(x.abs())),
        );
        assert_close(&(found * scale), &expected.zip(&expected, |x, _| x * scale));
        assert!(NdArray::take_adjoint(&adjoint).is_none());
    }
}

#[test]
fn single_precision_products_agree_with_double() {
    let single = |x: &NdArray<f64>| NdArray::from(x.view().mapv(|x| x as f32));
    for (m, k, n) in [(1, 96, 4), (5, 96, 7), (20, 50, 50), (20, 200, 50), (9, 131, 11)] {
        let a = NdArray::<f64>::uniform(&[m, k], &NdInt::scalar(1));
        let b = NdArray::<f64>::uniform(&[n, k], &NdInt::scalar(2));
        let (p, q) = (single(&a), single(&b));
        let adjoint = p.adjoint();
        NdArray::accumulate_matmul(&adjoint, &p, &q.transpose());
        NdArray::accumulate_matmul(&adjoint, &p, &q.transpose());
        let twice = NdArray::take_adjoint(&adjoint).unwrap();
        let exact = a.matmul(&b.transpose());
        for (got, exact) in twice.view().iter().zip(exact.view()) {
            assert!((f64::from(*got) - 2.0 * exact).abs() < 1e-5 * exact, "{got} {exact}");
        }
        for (got, exact) in p.matmul(&q.transpose()).view().iter().zip(exact.view()) {
            assert!((f64::from(*got) - exact).abs() < 1e-5 * exact, "{got} {exact}");
        }
    }
}

#[test]
fn special_values() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let array = |data: &[f64]| NdArray::<f64>::from_elements(&[data.len()], data).unwrap();
    // `max` and `maximum` of NaN are NaN, wherever it stands.
    for n in [1, 5, 31, 32, 33, 100] {
        for at in 0..n {
            let x = Plain::from_fn(&[n], |i| if i[0] == at { nan } else { i[0] as f64 });
            assert!(x.nd().max(..).item().is_nan() && x.nd().logsumexp(..).item().is_nan());
            assert!(x.nd().reshape(&[n, 1]).max(0).item().is_nan());
            assert_eq!(x.nd().argmax(0).item(), at as i64);
        }
    }
    let (x, y) = (array(&[nan, 1.0, nan]), array(&[1.0, nan, nan]));
    assert!(x.maximum(&y).view().iter().chain(x.minimum(&y).view()).all(|x| x.is_nan()));
    assert!(
        x.relu().view()[0].is_nan() && x.clamp(0.0, 1.0).view()[0].is_nan() && x.sign().view()[0].is_nan()
    );
    assert_eq!(array(&[-inf, -inf]).logsumexp(..).item(), -inf);
    assert_eq!(array(&[]).logsumexp(..).item(), -inf);
    assert_eq!(array(&[inf, 1.0]).logsumexp(..).item(), inf);
    assert_eq!(array(&[-inf, 1.0]).logsumexp(..).item(), 1.0);
    assert!((array(&[1000.0, 1000.0]).logsumexp(..).item() - 1000.0 - 2f64.ln()).abs() < 1e-12);
    assert_eq!(NdArray::<f64>::zeros(&[3, 0]).sum(1), NdArray::zeros(&[3]));
    assert_eq!(NdArray::<f64>::zeros(&[0, 2]).matmul(&NdArray::zeros(&[2, 3])).shape()[..], [0, 3]);
    assert_eq!(NdArray::<f64>::zeros(&[2, 0]).matmul(&NdArray::zeros(&[0, 3])), NdArray::zeros(&[2, 3]));
}

#[test]
fn indices_of_a_shape_are_row_major() {
    assert_eq!(indices(&[2, 2]), [[0, 0], [0, 1], [1, 0], [1, 1]]);
    assert_eq!(indices(&[]), [[0usize; 0]]);
}
