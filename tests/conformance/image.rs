//! Convolution with its two adjoints as functions of their own, windows, pooling.

use antiphon::Window2d;

use crate::array_case::{Entry, Input, array_cases, constant, linear, moved, polynomial};

const PLAIN: Window2d = Window2d { stride: [1, 1], padding: [0, 0] };
const WIDE: Window2d = Window2d { stride: [2, 1], padding: [1, 1] };

/// The pixel under place `[u, v]` of window `[r, c]`, unless it lies in the padding.
fn pixel(
    image: &Input,
    [b, channel]: [usize; 2],
    at: [usize; 2],
    place: [usize; 2],
    window: Window2d,
) -> Option<Entry> {
    let mut position = [0; 2];
    for k in 0..2 {
        position[k] = (at[k] * window.stride[k] + place[k]).checked_sub(window.padding[k])?;
        if position[k] >= image.array.shape[2 + k] {
            return None;
        }
    }
    Some(image.at([b, channel, position[0], position[1]]))
}

/// `Σ x[b,i, r·s₀+u−p₀, c·s₁+v−p₁]·kernel[o,i,u,v]`, term by term.
fn convolution(x: &Input, kernel: &Input, i: &[usize], window: Window2d) -> Vec<(f64, Vec<Entry>)> {
    let [_, channels, kh, kw] = kernel.array.shape[..] else { panic!("a kernel has four axes") };
    let places = (0..channels * kh * kw).map(|p| (p / (kh * kw), p / kw % kh, p % kw));
    places
        .filter_map(|(channel, u, v)| {
            let x = pixel(x, [i[0], channel], [i[2], i[3]], [u, v], window)?;
            Some((1.0, vec![x, kernel.at([i[1], channel, u, v])]))
        })
        .collect()
}

array_cases! {
    conv2d(x: [1, 1, 3, 4], k: [1, 1, 2, 2]) {
        f: x.conv2d(&k, PLAIN), shape: [1, 1, 2, 3], element: |i| polynomial(convolution(x, k, i, PLAIN)),
    }
    conv2d_with_channels(x: [2, 2, 3, 3], k: [3, 2, 2, 2]) {
        f: x.conv2d(&k, PLAIN), shape: [2, 3, 2, 2], element: |i| polynomial(convolution(x, k, i, PLAIN)),
    }
    conv2d_with_stride_and_padding(x: [1, 2, 4, 3], k: [2, 2, 3, 2]) {
        f: x.conv2d(&k, WIDE), shape: [1, 2, 2, 4], element: |i| polynomial(convolution(x, k, i, WIDE)),
    }
    conv2d_of_one_pixel(x: [2, 2, 2, 1], k: [1, 2, 1, 1]) {
        f: x.conv2d(&k, PLAIN), shape: [2, 1, 2, 1], element: |i| polynomial(convolution(x, k, i, PLAIN)),
    }
    conv2d_of_squares(x: [1, 1, 3, 3], k: [1, 1, 2, 2]) {
        f: x.square().conv2d(&k, PLAIN), shape: [1, 1, 2, 2],
        element: |i| polynomial(convolution(x, k, i, PLAIN).into_iter().map(|(one, xk)| (one, vec![xk[0], xk[0], xk[1]]))),
    }
    conv2d_by_windows(x: [1, 2, 3, 3], k: [2, 2, 2, 2]) {
        // The same by im2col: windows [1, 2·4, 2·2] under the kernel's rows [2, 2·4].
        f: k.reshape(&[2, 8]).matmul(&x.unfold2d([2, 2], PLAIN).reshape(&[1, 8, 4])).reshape(&[1, 2, 2, 2]),
        shape: [1, 2, 2, 2], element: |i| polynomial(convolution(x, k, i, PLAIN)),
    }
    conv2d_image(y: [1, 2, 2, 4], k: [2, 2, 3, 2]) {
        // x̄[b,i,h,w] = Σ ȳ[b,o,r,c]·k[o,i,u,v] where r·2+u−1 = h and c+v−1 = w.
        f: y.conv2d_image(&k, [4, 3], WIDE), shape: [1, 2, 4, 3],
        element: |i| polynomial((0..2 * 2 * 4 * 3 * 2).filter_map(|p| {
            let [o, r, c, u, v] = [p / 48, p / 24 % 2, p / 6 % 4, p / 2 % 3, p % 2];
            let hit = r * 2 + u == i[2] + 1 && c + v == i[3] + 1;
            hit.then(|| (1.0, vec![y.at([i[0], o, r, c]), k.at([o, i[1], u, v])]))
        })),
    }
    conv2d_kernel(x: [1, 2, 4, 3], y: [1, 2, 2, 4]) {
        // k̄[o,i,u,v] = Σ ȳ[b,o,r,c]·x[b,i,r·2+u−1,c+v−1]
        f: x.conv2d_kernel(&y, [3, 2], WIDE), shape: [2, 2, 3, 2],
        element: |i| polynomial((0..8).filter_map(|p| {
            let at = [p / 4, p % 4];
            let x = pixel(x, [0, i[1]], at, [i[2], i[3]], WIDE)?;
            Some((1.0, vec![x, y.at([0, i[0], at[0], at[1]])]))
        })),
    }
    unfold2d(x: [1, 2, 3, 3]) {
        f: x.unfold2d([2, 2], PLAIN), shape: [1, 2, 4, 2, 2],
        element: |i| moved(x.at([i[0], i[1], i[3] + i[2] / 2, i[4] + i[2] % 2])),
    }
    unfold2d_with_padding(x: [1, 1, 3, 3]) {
        f: x.unfold2d([2, 2], WIDE), shape: [1, 1, 4, 2, 4],
        element: |i| match pixel(x, [i[0], i[1]], [i[3], i[4]], [i[2] / 2, i[2] % 2], WIDE) {
            Some(entry) => moved(entry),
            None => constant(0.0),
        },
    }
    fold2d(y: [1, 1, 4, 2, 2]) {
        f: y.fold2d([3, 3], [2, 2], PLAIN), shape: [1, 1, 3, 3],
        element: |i| linear((0..16).filter_map(|p| {
            let [place, r, c] = [p / 4, p / 2 % 2, p % 2];
            let hit = r + place / 2 == i[2] && c + place % 2 == i[3];
            hit.then(|| (1.0, y.at([0, 0, place, r, c])))
        })),
    }
    average_pooling(x: [1, 2, 4, 4]) {
        f: x.avg_pool2d([2, 2], Window2d { stride: [2, 2], padding: [0, 0] }), shape: [1, 2, 2, 2],
        element: |i| linear((0..4).map(|p| (0.25, x.at([i[0], i[1], 2 * i[2] + p / 2, 2 * i[3] + p % 2])))),
    }
    average_pooling_counts_padding(x: [1, 1, 3, 3]) {
        f: x.avg_pool2d([2, 2], WIDE), shape: [1, 1, 2, 4],
        element: |i| linear((0..4).filter_map(|p| {
            Some((0.25, pixel(x, [0, 0], [i[2], i[3]], [p / 2, p % 2], WIDE)?))
        })),
    }
    max_pooling(x: [1, 1, 2, 4] = [1.0, 5.0, 2.0, 3.0, 4.0, -1.0, 7.0, 0.0]) {
        f: x.max_pool2d([2, 2], Window2d { stride: [2, 2], padding: [0, 0] }).square(), shape: [1, 1, 1, 2],
        element: |i| { let e = x.at([[0, 0, 0, 1], [0, 0, 1, 2]][i[3]]); polynomial([(1.0, vec![e, e])]) },
    }
    max_pooling_of_negatives_beside_padding(x: [1, 1, 2, 2] = [-1.0, -2.0, -3.0, -4.0]) {
        f: x.max_pool2d([2, 2], Window2d { stride: [2, 2], padding: [1, 1] }), shape: [1, 1, 2, 2],
        element: |i| moved(x.at(i)),
    }
    max_pooling_shares_ties(x: [1, 1, 2, 2] = [3.0, 3.0, 1.0, 3.0]) {
        f: x.max_pool2d([2, 2], PLAIN), shape: [1, 1, 1, 1],
        element: |_| linear([[0, 0], [0, 1], [1, 1]].map(|[r, c]| (1.0 / 3.0, x.at([0, 0, r, c])))), kink,
    }
}
