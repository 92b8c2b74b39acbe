//! Matrix products and convolutions, each a plain loop nest in the order in which its formula is written.

use crate::interpret::elementwise::Float;
use crate::interpret::index::{broadcast_positions, each_index, position, strides};
use crate::ir::expr::Window2d;
use crate::ir::tensor::{ConcreteTensor, Data};
use crate::ir::types::{Type, size};

/// Products that are summed up: `y += a × b` over all of them, or `y += a` for `Fold2d`.
#[derive(Clone, Copy)]
pub enum Contraction {
    /// Of matrices.
    Matmul,
    /// Cross-correlation of an image with a kernel.
    Conv2d(Window2d),
    /// The image's adjoint; `size` is the image's.
    Conv2dImage { size: [usize; 2], window: Window2d },
    /// The kernel's adjoint.
    Conv2dKernel(Window2d),
    /// Windows added up in an image of `size`.
    Fold2d { size: [usize; 2], kernel: [usize; 2], window: Window2d },
}

/// Value of a contraction of one or two operands.
pub fn contract(contraction: Contraction, operands: &[&ConcreteTensor], ty: &Type) -> ConcreteTensor {
    let (a, b) = (operands[0], operands.last().expect("a contraction has operands"));
    let shapes = (a.shape(), b.shape(), ty.shape.as_slice());
    let data = match (a.data(), b.data()) {
        (Data::F32(xs), Data::F32(ys)) => Data::F32(contracted(contraction, xs, ys, shapes)),
        (Data::F64(xs), Data::F64(ys)) => Data::F64(contracted(contraction, xs, ys, shapes)),
        _ => unreachable!("contractions are of reals, in a verified program"),
    };
    ConcreteTensor::new(&ty.shape, data).expect("one element for each index")
}

type Shapes<'a> = (&'a [usize], &'a [usize], &'a [usize]);

fn contracted<T: Float>(contraction: Contraction, a: &[T], b: &[T], shapes: Shapes<'_>) -> Vec<T> {
    let (sa, sb, out) = shapes;
    let mut y = vec![T::from(0.0); size(out)];
    let (ta, tb, ty) = (strides(sa), strides(sb), strides(out));
    match contraction {
        Contraction::Matmul => matmul(a, b, shapes, &mut y),
        Contraction::Conv2d(window) => {
            taps(out, sb, [sa[2], sa[3]], window, |[n, i, o], [r, c], [u, v], [h, w]| {
                let image = a[position(&[n, i, h, w], &ta)];
                y[position(&[n, o, r, c], &ty)] += image * b[position(&[o, i, u, v], &tb)];
            })
        }
        Contraction::Conv2dImage { size, window } => {
            taps(sa, sb, size, window, |[n, i, o], [r, c], [u, v], [h, w]| {
                let y_bar = a[position(&[n, o, r, c], &ta)];
                y[position(&[n, i, h, w], &ty)] += y_bar * b[position(&[o, i, u, v], &tb)];
            });
        }
        Contraction::Conv2dKernel(window) => {
            taps(sb, out, [sa[2], sa[3]], window, |[n, i, o], [r, c], [u, v], [h, w]| {
                let image = a[position(&[n, i, h, w], &ta)];
                y[position(&[o, i, u, v], &ty)] += image * b[position(&[n, o, r, c], &tb)];
            });
        }
        Contraction::Fold2d { size: [height, width], kernel, window } => each_index(sa, |index| {
            let &[n, i, tap, row, column] = index else { unreachable!("windows have five axes") };
            let h = (row * window.stride[0] + tap / kernel[1]).checked_sub(window.padding[0]);
            let w = (column * window.stride[1] + tap % kernel[1]).checked_sub(window.padding[1]);
            if let (Some(h), Some(w)) = (h, w)
                && h < height
                && w < width
            {
                y[position(&[n, i, h, w], &ty)] += a[position(index, &ta)];
            }
        }),
    }
    y
}

fn matmul<T: Float>(a: &[T], b: &[T], (sa, sb, out): Shapes<'_>, y: &mut [T]) {
    let (batch, [m, n]) = out.split_at(out.len() - 2) else { unreachable!("matrices have two axes") };
    let (lead_a, lead_b) = (&sa[..sa.len() - 2], &sb[..sb.len() - 2]);
    let k = sa[sa.len() - 1];
    let starts = broadcast_positions(lead_a, batch).into_iter().zip(broadcast_positions(lead_b, batch));
    for (matrix, (start_a, start_b)) in starts.enumerate() {
        for i in 0..*m {
            for j in 0..*n {
                let sum = &mut y[(matrix * m + i) * n + j];
                for l in 0..k {
                    *sum += a[(start_a * m + i) * k + l] * b[(start_b * k + l) * n + j];
                }
            }
        }
    }
}

/// Calls `f` with `[batch, in, out]`, the result's `[row, column]`, the kernel's and the image's, for every product
/// that a convolution sums up.
fn taps(
    y: &[usize],
    kernel: &[usize],
    image: [usize; 2],
    window: Window2d,
    mut f: impl FnMut([usize; 3], [usize; 2], [usize; 2], [usize; 2]),
) {
    each_index(&[y[0], y[1], y[2], y[3], kernel[1], kernel[2], kernel[3]], |index| {
        let &[n, o, r, c, i, u, v] = index else { unreachable!("seven loops") };
        let h = (r * window.stride[0] + u).checked_sub(window.padding[0]);
        let w = (c * window.stride[1] + v).checked_sub(window.padding[1]);
        if let (Some(h), Some(w)) = (h, w)
            && h < image[0]
            && w < image[1]
        {
            f([n, i, o], [r, c], [u, v], [h, w]);
        }
    });
}
