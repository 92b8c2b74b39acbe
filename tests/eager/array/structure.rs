//! Moving elements, access by index, convolution, accumulation in place, random numbers.

use antiphon::{Int, IntTensor, Mask, NdArray, NdBool, NdInt, Padding, Real, Tensor, Window2d};
use ndarray::{Axis, array};
use proptest::prelude::*;

use super::reference::{Plain, any_array, any_layout, any_plain, assert_close, laid_out};

/// An array with at least one axis, and one of its axes.
fn any_axis() -> impl Strategy<Value = (Plain, NdArray<f64>, usize)> {
    (any_array(), 0..4usize).prop_map(|((x, view), axis)| {
        if x.shape.is_empty() {
            let shape = vec![1];
            let x = Plain { shape, data: x.data };
            return (x.clone(), x.nd(), 0);
        }
        let axis = axis % x.shape.len();
        (x, view, axis)
    })
}

fn replaced(index: &[usize], axis: usize, i: usize) -> Vec<usize> {
    let mut index = index.to_vec();
    index[axis] = i;
    index
}

fn with_length(shape: &[usize], axis: usize, n: usize) -> Vec<usize> {
    replaced(shape, axis, n)
}

fn dot(x: &NdArray<f64>, y: &NdArray<f64>) -> f64 {
    assert_eq!(x.shape(), y.shape());
    (x * y).sum(..).item()
}

/// Integers of a shape, below `n`.
fn some_indices(shape: &[usize], n: usize, seed: usize) -> NdInt {
    let size: usize = shape.iter().product();
    let elements: Vec<i64> = (0..size).map(|i| ((i * 7 + seed) % n) as i64).collect();
    NdInt::from_elements(shape, &elements).unwrap()
}

proptest! {
    #[test]
    fn slices_flips_and_padding(
        (x, view, axis) in any_axis(),
        (a, b, step) in (0..6usize, 0..6usize, 1..4usize),
        (before, after, interior) in (0..3usize, 0..3usize, 0..3usize),
    ) {
        let n = x.shape[axis];
        let (a, b) = (a.min(b).min(n), a.max(b).min(n));
        let count = (b - a).div_ceil(step);
        let shape = with_length(&x.shape, axis, count);
        let sliced = view.slice_step(axis as isize, a..b, step);
        assert_close(&sliced, &Plain::from_fn(&shape, |i| x.at(&replaced(i, axis, a + i[axis] * step))));
        assert_close(&view.flip(axis as isize), &Plain::from_fn(&x.shape, |i| x.at(&replaced(i, axis, n - 1 - i[axis]))));

        let padding = Padding { before, after, interior };
        let padded = view.pad(axis as isize - x.shape.len() as isize, padding);
        let length = before + n + n.saturating_sub(1) * interior + after;
        let expected = Plain::from_fn(&with_length(&x.shape, axis, length), |i| {
            match i[axis].checked_sub(before) {
                Some(j) if j % (interior + 1) == 0 && j / (interior + 1) < n => x.at(&replaced(i, axis, j / (interior + 1))),
                _ => 0.0,
            }
        });
        assert_close(&padded, &expected);

        // In place, on top of what is there, as by the definition of the trait.
        let adjoint = view.adjoint();
        for _ in 0..2 {
            NdArray::accumulate_slice(&adjoint, &view, axis, a..b, step, sliced.clone());
        }
        let got = NdArray::take_adjoint(&adjoint).unwrap();
        let expected = Plain::from_fn(&x.shape, |i| {
            let inside = (a..b).contains(&i[axis]) && (i[axis] - a) % step == 0;
            if inside { 2.0 * x.at(i) } else { 0.0 }
        });
        assert_close(&got, &expected);
    }

    #[test]
    fn reordering_and_reshaping((x, view) in any_array(), order in Just((0..4usize).collect::<Vec<_>>()).prop_shuffle()) {
        let order: Vec<usize> = order.into_iter().filter(|&axis| axis < x.shape.len()).collect();
        let shape: Vec<usize> = order.iter().map(|&axis| x.shape[axis]).collect();
        let expected = Plain::from_fn(&shape, |i| {
            let mut index = vec![0; i.len()];
            for (&axis, &at) in order.iter().zip(i) {
                index[axis] = at;
            }
            x.at(&index)
        });
        assert_close(&view.permute(&order), &expected);
        let flat = view.permute(&order).reshape(&[x.data.len()]);
        assert_close(&flat, &Plain { shape: vec![x.data.len()], data: expected.data });
    }

    #[test]
    fn joining_and_cutting((x, view, axis) in any_axis(), other in 0..3usize) {
        let y = Plain::from_fn(&with_length(&x.shape, axis, other), |i| i.iter().sum::<usize>() as f64);
        let n = x.shape[axis];
        let joined = NdArray::concat(&[view.clone(), y.nd(), view.clone()], axis as isize);
        let expected = Plain::from_fn(&with_length(&x.shape, axis, 2 * n + other), |i| match i[axis] {
            j if j < n => x.at(i),
            j if j < n + other => y.at(&replaced(i, axis, j - n)),
            j => x.at(&replaced(i, axis, j - n - other)),
        });
        assert_close(&joined, &expected);
        let parts = joined.split(&[n, other, n], axis as isize);
        assert_close(&parts[0], &x);
        assert_close(&parts[1], &y);
        assert_close(&parts[2], &x);
        let stacked = NdArray::stack(&[view.clone(), view.clone()], axis as isize);
        assert_close(&stacked.index(axis as isize, 1), &x);
    }

    #[test]
    fn access_by_index((x, view, _) in any_axis(), lead in prop::collection::vec(0..3usize, 0..3), seed in 0..5usize) {
        let rows = x.shape[0];
        if rows > 0 {
            let ids = some_indices(&lead, rows, seed);
            let at: Vec<i64> = ids.elements().unwrap();
            let shape = [&lead[..], &x.shape[1..]].concat();
            let inner: usize = x.shape[1..].iter().product();
            let data = at.iter().flat_map(|&i| x.data[i as usize * inner..][..inner].to_vec()).collect();
            let gathered = view.gather_rows(&ids);
            assert_close(&gathered, &Plain { shape, data });
            // scatter_rows is its transpose, in place as well.
            let y = &gathered * 2.0 + 1.0;
            let scattered = y.scatter_rows(&ids, rows);
            prop_assert!((dot(&gathered, &y) - dot(&view, &scattered)).abs() < 1e-9);
            let adjoint = view.adjoint();
            NdArray::accumulate_rows(&adjoint, &view, &ids, y.clone());
            NdArray::accumulate_rows(&adjoint, &view, &ids, y);
            assert_close(&NdArray::take_adjoint(&adjoint).unwrap(), &Plain::from(&(&scattered * 2.0)));
        }
        let (n, lead) = x.shape.split_last().unwrap();
        if *n > 0 {
            let ids = some_indices(lead, *n, seed);
            let at = ids.elements().unwrap();
            let picked = view.gather_last(&ids);
            let data = at.iter().enumerate().map(|(row, &i)| x.data[row * n + i as usize]).collect();
            assert_close(&picked, &Plain { shape: lead.to_vec(), data });
            let y = &picked * 2.0 + 1.0;
            prop_assert!((dot(&picked, &y) - dot(&view, &y.scatter_last(&ids, *n))).abs() < 1e-9);
        }
    }

    #[test]
    fn convolution(
        (batch, channels, out) in (0..3usize, 1..3usize, 1..4usize),
        (h, w, kh, kw) in (1..6usize, 1..6usize, 1..4usize, 1..4usize),
        stride in [1..3usize, 1..3usize],
        padding in [0..3usize, 0..3usize],
        (p, q) in (any_layout(), any_layout()),
    ) {
        prop_assume!(kh <= h + 2 * padding[0] && kw <= w + 2 * padding[1]);
        let value = |i: &Vec<usize>| i.iter().fold(3, |seed, &i| (seed * 31 + i * 7) % 23) as f64 - 11.0;
        let (x, k) = (Plain::from_fn(&[batch, channels, h, w], value), Plain::from_fn(&[out, channels, kh, kw], value));
        let (a, b) = (laid_out(&x, &p), laid_out(&k, &q));
        let window = Window2d { stride, padding };
        let tap = |n: usize, c: usize, r: usize, u: usize, s: usize, v: usize| {
            let y = (r * stride[0] + u).checked_sub(padding[0]).filter(|&y| y < h);
            let z = (s * stride[1] + v).checked_sub(padding[1]).filter(|&z| z < w);
            y.zip(z).map_or(0.0, |(y, z)| x.at(&[n, c, y, z]))
        };
        let rows = (h + 2 * padding[0] - kh) / stride[0] + 1;
        let columns = (w + 2 * padding[1] - kw) / stride[1] + 1;
        let expected = Plain::from_fn(&[batch, out, rows, columns], |i| {
            let mut sum = 0.0;
            for c in 0..channels {
                for u in 0..kh {
                    for v in 0..kw {
                        sum += tap(i[0], c, i[2], u, i[3], v) * k.at(&[i[1], c, u, v]);
                    }
                }
            }
            sum
        });
        let y = a.conv2d(&b, window);
        assert_close(&y, &expected);
        let unfolded = a.unfold2d([kh, kw], window);
        assert_close(&unfolded, &Plain::from_fn(&[batch, channels, kh * kw, rows, columns], |i| {
            tap(i[0], i[1], i[3], i[2] / kw, i[4], i[2] % kw)
        }));
        // The adjoints, by ⟨A x, y⟩ = ⟨x, Aᵀ y⟩.
        let g = &y * 0.5 + 1.0;
        let value = dot(&y, &g);
        let close = |other: f64| (value - other).abs() <= 1e-9 * (1.0 + value.abs());
        prop_assert!(close(dot(&a, &g.conv2d_image(&b, [h, w], window))));
        prop_assert!(close(dot(&b, &a.conv2d_kernel(&g, [kh, kw], window))));
        let g = &unfolded * 0.5 + 1.0;
        let value = dot(&unfolded, &g);
        prop_assert!((value - dot(&a, &g.fold2d([h, w], [kh, kw], window))).abs() <= 1e-9 * (1.0 + value.abs()));
    }

    #[test]
    fn integers(x in any_plain(vec![3, 4]), y in any_plain(vec![4])) {
        let int = |x: &Plain| NdInt::from_elements(&x.shape, &x.data.iter().map(|x| (x * 16.0) as i64).collect::<Vec<_>>()).unwrap();
        let (a, b) = (int(&x), int(&y));
        let real = |i: &NdInt| NdArray::<f64>::from_int(i);
        let (p, q) = (real(&a), real(&b));
        prop_assert_eq!(real(&(a.clone() + &b)), &p + &q);
        prop_assert_eq!(real(&(a.clone() - b.clone())), &p - &q);
        prop_assert_eq!(real(&(a.clone() * 3)), &p * 3.0);
        prop_assert!(a.less(&b) == p.less(&q) && a.equal(&b) == p.equal(&q));
        prop_assert_eq!(real(&a.slice(-1, 1..3)), p.slice(-1, 1..3));
        prop_assert_eq!(real(&a.reshape(&[2, 6])), p.reshape(&[2, 6]));
        prop_assert_eq!(real(&a.gather_rows(&NdInt::from(array![2, 0]))), p.gather_rows(&NdInt::from(array![2, 0])));
        let (m, n) = (a.less(&b), a.equal(&b));
        prop_assert!(m.and(&n) == m.and(&m.not()) && m.or(&n) == p.less_equal(&q));
    }
}

#[test]
fn pooling() {
    let x = NdArray::<f64>::from_elements(&[1, 1, 2, 4], &[1., 5., -3., -4., 2., 0., -1., -2.]).unwrap();
    let window = Window2d { stride: [2, 2], padding: [0, 0] };
    assert_eq!(x.max_pool2d([2, 2], window), NdArray::from_elements(&[1, 1, 1, 2], &[5., -1.]).unwrap());
    assert_eq!(x.avg_pool2d([2, 2], window), NdArray::from_elements(&[1, 1, 1, 2], &[2., -2.5]).unwrap());
    // Padding never wins, even against negative numbers.
    let window = Window2d { stride: [2, 2], padding: [1, 1] };
    let y = x.max_pool2d([2, 2], window);
    assert_eq!(y, NdArray::from_elements(&[1, 1, 2, 3], &[1., 5., -4., 2., 0., -2.]).unwrap());
}

#[test]
fn conversions_keep_elements_and_layout_does_not_matter() {
    let a = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    let x = NdArray::from(a.clone());
    assert_eq!(x.clone().into_array(), a.clone().into_dyn());
    assert_eq!(x.view(), a.view().into_dyn());
    // Reversed and transposed arrays of `ndarray`.
    let mut reversed = a.clone();
    reversed.invert_axis(Axis(1));
    assert_eq!(NdArray::from(reversed), x.flip(1));
    assert_eq!(NdArray::from(a.t().to_owned()), x.transpose());
    assert_eq!(NdArray::from(a.reversed_axes()), x.transpose());
    assert_eq!(NdArray::from(2.5).item(), 2.5);
    assert_eq!(format!("{}", NdArray::from(array![1.0, 2.0])), "[1, 2]");
    assert_eq!(format!("{:?}", NdArray::from(array![1.0f32, 2.0])), "NdArray[2] [1, 2]");
    assert_eq!(NdInt::from(array![3, 4]).elements().unwrap(), [3, 4]);
    assert_eq!(NdBool::scalar(true).known(), Some(true));
    assert_eq!(NdBool::from(array![true, false]).known(), None);
    assert_eq!((NdInt::scalar(7).known(), NdInt::from(array![1, 2]).known()), (Some(7), None));
}

#[test]
fn an_operator_reuses_memory_that_nobody_else_holds() {
    let x = NdArray::<f64>::ones(&[100]);
    let held = x.clone();
    let place = x.view().as_ptr();
    let y = x + 1.0;
    assert_ne!(y.view().as_ptr(), place);
    assert_eq!(held, NdArray::ones(&[100]));
    let place = y.view().as_ptr();
    let z = -(y * &held + 1.0);
    assert_eq!(z.view().as_ptr(), place);
    // Views share; writing to one of them copies.
    let view = z.slice(0, 10..20);
    assert_eq!(view.view().as_ptr(), place.wrapping_add(10));
    assert_eq!(view + 3.0, NdArray::zeros(&[10]));
    assert_eq!(z, NdArray::full(&[100], -3.0));
}

#[test]
fn an_accumulated_value_is_never_changed_under_its_owner() {
    let g = NdArray::<f64>::ones(&[2, 2]);
    let adjoint = g.adjoint();
    NdArray::accumulate(&adjoint, g.clone());
    NdArray::accumulate(&adjoint, g.clone());
    NdArray::accumulate_slice(&adjoint, &g, 0, 0..1, 1, NdArray::ones(&[1, 2]));
    assert_eq!(NdArray::take_adjoint(&adjoint).unwrap(), NdArray::from(array![[3.0, 3.0], [2.0, 2.0]]));
    NdArray::accumulate(&adjoint, g.clone());
    NdArray::accumulate_matmul(&adjoint, &g, &g);
    assert_eq!(NdArray::take_adjoint(&adjoint).unwrap(), NdArray::full(&[2, 2], 3.0));
    assert_eq!(g, NdArray::ones(&[2, 2]));
}

/// The documented formula, written out.
fn word(seed: u64, i: u64) -> u64 {
    const G: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |z: u64| {
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    mix(mix(seed.wrapping_add(G)).wrapping_add((i + 1).wrapping_mul(G)))
}

#[test]
fn uniform_numbers_are_those_of_the_documented_formula() {
    for seed in [0, 1, -1, i64::MAX] {
        let single = NdArray::<f32>::uniform(&[3, 5], &NdInt::scalar(seed));
        let double = NdArray::<f64>::uniform(&[3, 5], &NdInt::scalar(seed));
        for i in 0..15 {
            let at = [i / 5, i % 5];
            let word = word(seed as u64, i as u64);
            assert_eq!(single.view()[at.as_slice()], (word >> 40) as f32 / 16_777_216.0);
            assert_eq!(double.view()[at.as_slice()], (word >> 11) as f64 / 9_007_199_254_740_992.0);
        }
    }
    // The first output of SplitMix64 from state 0, as its authors publish it, is mix(G).
    assert_eq!(
        NdArray::<f64>::uniform(&[100_000], &NdInt::scalar(1)).less(&NdArray::constant(1.0)).view().len(),
        100_000
    );
    let mean = NdArray::<f64>::uniform(&[100_000], &NdInt::scalar(2)).mean(..).item();
    assert!((mean - 0.5).abs() < 0.01);
}
