//! Maxima, means and norms of windows.

use super::convolution::{Window, places, windows};
use super::padding::around;
use crate::language::real::Real;
use crate::language::shape::Window2d;
use crate::language::tensor::Tensor;
use crate::onnx::call::{Call, Operand, count, reals};
use crate::onnx::known::Outcome;
use crate::onnx::table::Op;

/// An image of rows, of one row if it has one dimension.
fn as_image<T: Tensor>(x: &T) -> T {
    match x.shape()[..] {
        [n, c, w] => x.reshape(&[n, c, 1, w]),
        _ => x.clone(),
    }
}

/// All windows of an image, along an axis of their own: `[batch, channels, kh·kw, rows, columns]`.
fn unfolded<T: Tensor>(x: &T, windows: [Window; 2], counts: [usize; 2]) -> T {
    let stride = windows.map(|window| window.stride);
    let kernel = windows.map(|window| window.kernel);
    if windows.iter().all(|window| window.dilation == 1) {
        // What is beyond the last window is cut off, so that there are as many windows as are wanted.
        return x.unfold2d(kernel, Window2d { stride, padding: [0, 0] });
    }
    let mut parts = Vec::new();
    for u in 0..kernel[0] {
        for v in 0..kernel[1] {
            let mut part = x.clone();
            for (axis, at) in [(2, u * windows[0].dilation), (3, v * windows[1].dilation)] {
                let i = axis as usize - 2;
                part = part.slice_step(axis, at..at + (counts[i] - 1) * stride[i] + 1, stride[i]);
            }
            parts.push(part);
        }
    }
    T::stack(&parts, 2)
}

/// How many elements of the image, and of the padding that counts, each window along an axis has.
fn counted(window: Window, n: usize, count: usize, with_padding: bool) -> Vec<f64> {
    let inside = |place: usize| match with_padding {
        true => place < n + window.before + window.after,
        false => place >= window.before && place < n + window.before,
    };
    let of = |i: usize| {
        (0..window.kernel).filter(|j| inside(i * window.stride + j * window.dilation)).count() as f64
    };
    (0..count).map(of).collect()
}

/// A reduction of each window.
pub fn pool<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let x = call.real(0)?;
    let lengths = places(&x)?;
    let kernel = call.ints_attribute("kernel_shape")?.ok_or("kernel_shape is missing")?;
    let kernel = kernel.iter().map(|&n| count(n)).collect::<Outcome<Vec<_>>>()?;
    let mut along = windows(call, &lengths, &kernel)?;
    let round_up = call.flag("ceil_mode", false)?;
    let one_row = lengths.len() == 1;
    let mut size = lengths.clone();
    if one_row {
        along.insert(0, Window { kernel: 1, stride: 1, dilation: 1, before: 0, after: 0 });
        size.insert(0, 1);
    }
    let along = [along[0], along[1]];
    let counts = [along[0].count(size[0], round_up)?, along[1].count(size[1], round_up)?];
    let [batch, channels] = [x.shape()[0], x.shape()[1]];
    let kernel = along.map(|window| window.kernel);
    call.room(&[batch, channels, kernel[0], kernel[1], counts[0], counts[1]])?;
    let op = call.node.op;
    let mut image = as_image(&x);
    let simple =
        along.iter().all(|w| w.before == w.after && w.dilation == 1) && !round_up && op == Op::MaxPool;
    let result = if simple {
        let window = Window2d { stride: along.map(|w| w.stride), padding: along.map(|w| w.before) };
        call.room(&[batch, channels, size[0] + 2 * along[0].before, size[1] + 2 * along[1].before])?;
        image.max_pool2d(kernel, window)
    } else {
        let outside = if op == Op::MaxPool { f64::NEG_INFINITY } else { 0.0 };
        for (i, window) in along.into_iter().enumerate() {
            // As many elements as the windows cover, which may be more or fewer than there are.
            let covered = (counts[i] - 1) * window.stride + window.span()?;
            let after = covered.saturating_sub(size[i] + window.before);
            let mut padded = image.shape();
            padded[2 + i] = covered.max(size[i] + window.before);
            call.room(&padded)?;
            image = around(&image, 2 + i, window.before, after, outside).slice(2 + i as isize, 0..covered);
        }
        match op {
            Op::MaxPool => unfolded(&image, along, counts).max(2),
            Op::LpPool => match call.int_attribute("p", 2)? {
                1 => unfolded(&image.abs(), along, counts).sum(2),
                2 => unfolded(&image.square(), along, counts).sum(2).sqrt(),
                p => {
                    let p = p as f64;
                    unfolded(&image.abs().pow(&T::constant(p)), along, counts)
                        .sum(2)
                        .pow(&T::constant(1.0 / p))
                }
            },
            _ => {
                let padding = call.flag("count_include_pad", false)?;
                let [rows, columns] = [0, 1]
                    .map(|i| counted(along[i], size[i], counts[i], padding).into_iter().map(f64::recip));
                let [rows, columns] = [rows, columns].map(|part| part.collect::<Vec<_>>());
                if rows.iter().chain(&columns).any(|x| x.is_infinite()) {
                    return Err("a window lies in the padding only".into());
                }
                let sums = unfolded(&image, along, counts).sum(2);
                sums * reals::<T>(&[counts[0], 1], &rows) * reals::<T>(&[1, counts[1]], &columns)
            }
        }
    };
    Ok(Operand::Real(if one_row { result.reshape(&[batch, channels, counts[1]]) } else { result }))
}

/// A reduction of all places.
pub fn global<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let x = call.real(0)?;
    let whole = x.shape();
    if whole.len() < 3 {
        return Err(format!("{whole:?}, which has no places"));
    }
    let along: Vec<usize> = (2..whole.len()).collect();
    let mut kept = whole;
    kept[2..].fill(1);
    let result = match call.node.op {
        Op::GlobalMaxPool => x.max(along.as_slice()),
        _ => x.mean(along.as_slice()),
    };
    Ok(Operand::Real(result.reshape(&kept)))
}
