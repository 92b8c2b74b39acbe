//! Functions of images, by channels first: Tangent's have them last, as TensorFlow.

use antiphon::{Border, Convolution, Tensor};

use crate::function::{Plain, functions, of_shapes};

const IMAGE: &[usize] = &[2, 3, 4, 5];

type Groups = Vec<Vec<Vec<Plain>>>;

fn images() -> Groups {
    of_shapes(&[&[IMAGE]])
}

/// What reduces axes of an image to one number or one for each channel.
fn by_channel(x: &Plain, f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let of = |channel: usize| {
        let elements: Vec<f64> = (0..2)
            .flat_map(|b| (0..20).map(move |at| (b * 3 + channel) * 20 + at))
            .map(|at| x.elements[at])
            .collect();
        f(&elements)
    };
    (0..3).map(of).collect()
}

fn largest(x: &[f64]) -> f64 {
    x.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

fn total(x: &[f64]) -> f64 {
    x.iter().sum()
}

/// `Σₖ a[.., i, k]·b[.., k, j]` of squares of 4×4.
fn products(a: &Plain, b: &Plain, [of_a, of_b]: [bool; 2]) -> Vec<f64> {
    let element = |x: &Plain, transposed: bool, batch: usize, i: usize, j: usize| {
        x.elements[16 * batch + if transposed { 4 * j + i } else { 4 * i + j }]
    };
    let entry = |at: usize| {
        let (batch, i, j) = (at / 16, at / 4 % 4, at % 4);
        (0..4).map(|k| element(a, of_a, batch, i, k) * element(b, of_b, batch, k, j)).sum()
    };
    (0..a.elements.len()).map(entry).collect()
}

/// The windows of a kernel that moves by strides over an image whose border is as wide as TensorFlow's `SAME` has it:
/// for each place of the result, where its window lies, and what of it is within.
fn windows([h, w]: [usize; 2], kernel: [usize; 2], stride: [usize; 2]) -> Vec<Vec<Option<[usize; 2]>>> {
    let axis = |size: usize, kernel: usize, stride: usize| {
        let count = size.div_ceil(stride);
        let border = ((count - 1) * stride + kernel).saturating_sub(size) / 2;
        (count, border)
    };
    let ((rows, top), (columns, left)) = (axis(h, kernel[0], stride[0]), axis(w, kernel[1], stride[1]));
    let place = |at: usize| {
        let (r, c) = (at / columns, at % columns);
        let within = |u: usize, v: usize| {
            let i = (r * stride[0] + u).checked_sub(top)?;
            let j = (c * stride[1] + v).checked_sub(left)?;
            (i < h && j < w).then_some([i, j])
        };
        (0..kernel[0] * kernel[1]).map(|at| within(at / kernel[1], at % kernel[1])).collect()
    };
    (0..rows * columns).map(place).collect()
}

fn convolution(x: &Plain, kernel: &Plain, stride: [usize; 2]) -> Vec<f64> {
    let places = windows([4, 5], [kernel.shape[2], kernel.shape[3]], stride);
    let mut y = Vec::new();
    for b in 0..2 {
        for o in 0..kernel.shape[0] {
            for place in &places {
                let of = |channel: usize| {
                    place.iter().enumerate().map(move |(at, within)| {
                        let [u, v] = [at / kernel.shape[3], at % kernel.shape[3]];
                        within.map_or(0.0, |[i, j]| x.at([b, channel, i, j]) * kernel.at([o, channel, u, v]))
                    })
                };
                y.push((0..3).flat_map(of).sum());
            }
        }
    }
    y
}

fn pooled(x: &Plain, kernel: [usize; 2], stride: [usize; 2], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let places = windows([4, 5], kernel, stride);
    let mut y = Vec::new();
    for image in 0..6 {
        for place in &places {
            let within: Vec<f64> =
                place.iter().flatten().map(|[i, j]| x.elements[20 * image + 5 * i + j]).collect();
            y.push(f(&within));
        }
    }
    y
}

fn same(stride: [usize; 2]) -> Convolution<2> {
    Convolution { stride, border: Border::Same, ..Convolution::default() }
}

/// Squares of an image's channels, without the last column.
fn squares<T: Tensor>(x: &T) -> T {
    x.slice(-1, 0..4)
}

fn squares_of(x: &Plain) -> Plain {
    let elements = x.elements.chunks(5).flat_map(|row| row[..4].to_vec()).collect();
    Plain { shape: vec![2, 3, 4, 4], elements }
}

functions! {
    arrays:
    tfe_reduce_sum(t) at images() => { f: t.sum(..), is: total(&t.elements), }
    tfe_reduce_sum_keepdims(t) at images() => { f: t.sum(..).reshape(&[1; 4]), is: total(&t.elements), }
    tfe_reduce_sum_axis(t) at images() => { f: t.sum([0, 2, 3]), is: by_channel(t, total), }
    tfe_reduce_sum_axis_keepdims(t) at images() => {
        f: t.sum([0, 2, 3]).reshape(&[1, 3, 1, 1]),
        is: by_channel(t, total),
    }
    tfe_reduce_mean(t) at images() => { f: t.mean(..), is: mean(&t.elements), }
    tfe_reduce_mean_axis(t) at images() => { f: t.mean([0, 2, 3]), is: by_channel(t, mean), }
    tfe_reduce_max(t) at images() => { f: t.max(..), is: largest(&t.elements), }
    tfe_reduce_max_axis(t) at images() => { f: t.max([0, 2, 3]), is: by_channel(t, largest), }
    tfe_matmul_highdim(a, b) at of_shapes(&[&[IMAGE, IMAGE]]) => {
        f: squares(&a).matmul(&squares(&b)),
        is: products(&squares_of(a), &squares_of(b), [false, false]),
    }
    tfe_matmul_highdim_transpose_a(a, b) at of_shapes(&[&[IMAGE, IMAGE]]) => {
        f: squares(&a).transpose().matmul(&squares(&b)),
        is: products(&squares_of(a), &squares_of(b), [true, false]),
    }
    tfe_matmul_highdim_transpose_both(a, b) at of_shapes(&[&[IMAGE, IMAGE]]) => {
        f: squares(&a).transpose().matmul(&squares(&b).transpose()),
        is: products(&squares_of(a), &squares_of(b), [true, true]),
    }
    tfe_conv2d(x, kernel) at of_shapes(&[&[IMAGE, &[2, 3, 3, 3]]]) => {
        f: x.convolve2d(&kernel, &same([1, 1])),
        is: convolution(x, kernel, [1, 1]),
    }
    tfe_conv2d_strided(x, kernel) at of_shapes(&[&[IMAGE, &[2, 3, 2, 3]]]) => {
        f: x.convolve2d(&kernel, &same([2, 2])),
        is: convolution(x, kernel, [2, 2]),
    }
    tfe_max_pool(x) at images() => {
        f: x.max_pool2d([3, 3], antiphon::Window2d { stride: [1, 1], padding: [1, 1] }),
        is: pooled(x, [3, 3], [1, 1], largest),
    }
    tfe_avg_pool(x) at images() => {
        // TensorFlow's means are of what lies within.
        f: {
            let window = antiphon::Window2d { stride: [1, 1], padding: [1, 1] };
            x.avg_pool2d([3, 3], window) / x.ones_like().avg_pool2d([3, 3], window)
        },
        is: pooled(x, [3, 3], [1, 1], mean),
    }
}
