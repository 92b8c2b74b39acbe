//! Convolutions that are dilated, grouped, transposed or of one dimension, with padding of each side; pooling to a
//! given size. What [`Tensor::conv2d`] does not do is a product with the windows of the image.

use super::refuse;
use crate::language::shape::{self, Padding, Shape, Window2d};
use crate::language::tensor::Tensor;

/// Zeros around what is convolved, along `N` axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Border<const N: usize> {
    /// So many on both sides of each axis.
    Both([usize; N]),
    /// So many before and after.
    Each([(usize, usize); N]),
    /// As many as make the result as long as the image divided by the stride, rounded up; of an odd number one more
    /// comes after (`padding = "same"` in TensorFlow and JAX).
    Same,
}

/// How [`Tensor::conv1d`], [`Tensor::convolve2d`] and [`Tensor::conv_transpose2d`] move along `N` axes.
///
/// ```
/// use antiphon::{Border, Convolution};
/// let dilated = Convolution { dilation: [2, 2], border: Border::Same, ..Convolution::default() };
/// assert_eq!((dilated.stride, dilated.groups), ([1, 1], 1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Convolution<const N: usize> {
    /// Distance between neighbouring windows; at least one.
    pub stride: [usize; N],
    /// Distance between neighbouring places of a window; at least one.
    pub dilation: [usize; N],
    /// Into how many groups the channels are divided, each with kernels of its own; at least one.
    pub groups: usize,
    /// Zeros around the image.
    pub border: Border<N>,
}

impl<const N: usize> Default for Convolution<N> {
    /// Stride and dilation of one, one group, no border.
    fn default() -> Self {
        Convolution { stride: [1; N], dilation: [1; N], groups: 1, border: Border::Both([0; N]) }
    }
}

/// One axis of a convolution.
#[derive(Clone, Copy)]
struct Along {
    kernel: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    after: usize,
}

impl Along {
    /// From the first to the last place of a window, both included.
    fn span(self) -> usize {
        (self.kernel - 1).saturating_mul(self.dilation).saturating_add(1)
    }
}

impl<const N: usize> Convolution<N> {
    /// The axes, for an image of this size.
    #[track_caller]
    fn along(&self, op: &'static str, size: [usize; N], kernel: [usize; N]) -> [Along; N] {
        let mut all = [Along { kernel: 1, stride: 1, dilation: 1, before: 0, after: 0 }; N];
        for (i, along) in all.iter_mut().enumerate() {
            let (stride, dilation) = (self.stride[i], self.dilation[i]);
            if stride == 0 || dilation == 0 || kernel[i] == 0 {
                refuse(
                    op,
                    format!("stride {stride}, dilation {dilation}, kernel {}: none may be 0", kernel[i]),
                );
            }
            *along = Along { kernel: kernel[i], stride, dilation, before: 0, after: 0 };
            (along.before, along.after) = match self.border {
                Border::Both(both) => (both[i], both[i]),
                Border::Each(each) => each[i],
                Border::Same => {
                    let covered = (size[i].div_ceil(stride).max(1) - 1).saturating_mul(stride);
                    let missing = covered.saturating_add(along.span()).saturating_sub(size[i]);
                    (missing / 2, missing - missing / 2)
                }
            };
            if along.before.max(along.after).max(along.span()) > shape::LARGEST {
                refuse(op, format!("{self:?} is more than an array can have"));
            }
        }
        all
    }
    /// Checks that the channels divide into the groups.
    #[track_caller]
    fn check_groups(&self, op: &'static str, channels: &[usize]) {
        for &count in channels {
            if self.groups == 0 || count % self.groups != 0 {
                refuse(op, format!("{count} channels do not divide into {} groups", self.groups));
            }
        }
    }
}

/// The lengths of an image's or a kernel's axes.
#[track_caller]
fn four<T: Tensor>(op: &'static str, what: &str, x: &T) -> [usize; 4] {
    let whole = x.shape();
    match whole.as_slice().try_into() {
        Ok(four) => four,
        Err(_) => refuse(op, format!("{what} {whole:?}, which has to have four axes")),
    }
}

impl Convolution<1> {
    /// The same along the second of two axes, of which the first one has a single element.
    fn of_a_row(&self) -> Convolution<2> {
        Convolution {
            stride: [1, self.stride[0]],
            dilation: [1, self.dilation[0]],
            groups: self.groups,
            border: match self.border {
                Border::Both([both]) => Border::Both([0, both]),
                Border::Each([each]) => Border::Each([(0, 0), each]),
                Border::Same => Border::Same,
            },
        }
    }
}

/// An image and a kernel of three axes each as those of one row.
#[track_caller]
fn as_rows<T: Tensor>(op: &'static str, x: &T, kernel: &T) -> [T; 2] {
    let (image, of_kernel) = (x.shape(), kernel.shape());
    let (&[a, b, width], &[c, d, taps]) = (image.as_slice(), of_kernel.as_slice()) else {
        refuse(
            op,
            format!("an image {image:?} and a kernel {of_kernel:?}, which have to have three axes each"),
        );
    };
    [x.reshape(&[a, b, 1, width]), kernel.reshape(&[c, d, 1, taps])]
}

/// The row again.
#[track_caller]
fn of_rows<T: Tensor>(y: &T) -> T {
    let shape = y.shape();
    y.reshape(&[shape[0], shape[1], shape[3]])
}

/// [`Tensor::conv1d`].
#[track_caller]
pub fn conv1d<T: Tensor>(x: &T, kernel: &T, options: &Convolution<1>) -> T {
    let [image, kernel] = as_rows("conv1d", x, kernel);
    of_rows(&convolved("conv1d", &image, &kernel, &options.of_a_row()))
}

/// [`Tensor::conv_transpose1d`].
#[track_caller]
pub fn conv_transpose1d<T: Tensor>(x: &T, kernel: &T, options: &Convolution<1>, further: usize) -> T {
    let [image, kernel] = as_rows("conv_transpose1d", x, kernel);
    of_rows(&transposed("conv_transpose1d", &image, &kernel, &options.of_a_row(), [0, further]))
}

/// [`Tensor::convolve2d`].
#[track_caller]
pub fn convolve2d<T: Tensor>(x: &T, kernel: &T, options: &Convolution<2>) -> T {
    convolved("convolve2d", x, kernel, options)
}

#[track_caller]
fn convolved<T: Tensor>(op: &'static str, x: &T, kernel: &T, options: &Convolution<2>) -> T {
    let [batch, channels, height, width] = four(op, "an image", x);
    let [out, inner, kh, kw] = four(op, "a kernel", kernel);
    options.check_groups(op, &[channels, out]);
    let groups = options.groups;
    if inner != channels / groups {
        let reason =
            format!("a kernel of {inner} channels, where each group of the image has {}", channels / groups);
        refuse(op, reason);
    }
    let along = options.along(op, [height, width], [kh, kw]);
    let mut x = x.clone();
    let mut window = Window2d { stride: options.stride, padding: [0, 0] };
    for (i, (side, length)) in along.iter().zip([height, width]).enumerate() {
        // The convolution itself knows of zeros that are on both sides.
        let both = if side.dilation == 1 { side.before.min(side.after) } else { 0 };
        window.padding[i] = both;
        let padding = Padding { before: side.before - both, after: side.after - both, interior: 0 };
        if length + side.before + side.after < side.span() {
            let reason = format!("a window of {} does not fit in {length} with {padding:?}", side.span());
            refuse(op, reason);
        }
        if padding != Padding::default() {
            x = x.pad(i as isize + 2, padding);
        }
    }
    let dilated = along.iter().any(|side| side.dilation > 1);
    if groups == 1 && !dilated {
        return x.conv2d(kernel, window);
    }
    let windows = if dilated { windows(&x, &along, window) } else { x.unfold2d([kh, kw], window) };
    let [rows, columns] = [windows.shape()[3], windows.shape()[4]];
    let of_group = [batch, groups, inner * kh * kw, rows * columns];
    let y =
        kernel.reshape(&[groups, out / groups, inner * kh * kw]).batch_matmul(&windows.reshape(&of_group));
    y.reshape(&[batch, out, rows, columns])
}

/// How many windows there are along an axis.
fn count(length: usize, side: &Along) -> usize {
    (length - side.span()) / side.stride + 1
}

/// [`Tensor::unfold2d`] of dilated windows: a slice of each of their places.
#[track_caller]
fn windows<T: Tensor>(x: &T, along: &[Along; 2], window: Window2d) -> T {
    let mut x = x.clone();
    for (axis, &both) in window.padding.iter().enumerate() {
        if both > 0 {
            x = x.pad(axis as isize + 2, Padding { before: both, after: both, interior: 0 });
        }
    }
    let whole = x.shape();
    let [rows, columns] = along;
    let [down, across] = [count(whole[2], rows), count(whole[3], columns)];
    let mut places = Vec::with_capacity(rows.kernel * columns.kernel);
    for i in 0..rows.kernel {
        let row = i * rows.dilation;
        let x = x.slice_step(2, row..row + (down - 1) * rows.stride + 1, rows.stride);
        for j in 0..columns.kernel {
            let column = j * columns.dilation;
            places.push(x.slice_step(3, column..column + (across - 1) * columns.stride + 1, columns.stride));
        }
    }
    T::stack(&places, 2)
}

/// [`Tensor::conv_transpose2d`].
#[track_caller]
pub fn conv_transpose2d<T: Tensor>(x: &T, kernel: &T, options: &Convolution<2>, further: [usize; 2]) -> T {
    transposed("conv_transpose2d", x, kernel, options, further)
}

#[track_caller]
fn transposed<T: Tensor>(
    op: &'static str,
    x: &T,
    kernel: &T,
    options: &Convolution<2>,
    further: [usize; 2],
) -> T {
    let [batch, channels, height, width] = four(op, "an image", x);
    let [inner, of_group, kh, kw] = four(op, "a kernel", kernel);
    options.check_groups(op, &[channels]);
    let groups = options.groups;
    if inner != channels {
        refuse(op, format!("a kernel for {inner} channels, and the image has {channels}"));
    }
    if options.border == Border::Same {
        refuse(op, "the border `Same` does not say how large the result is".into());
    }
    let along = options.along(op, [height, width], [kh, kw]);
    let mut size = [0; 2];
    let mut whole = [0; 2];
    for (i, (side, length)) in along.iter().zip([height, width]).enumerate() {
        if length == 0 {
            refuse(op, format!("an image {:?} without rows or columns", x.shape()));
        }
        if further[i] >= side.stride.max(side.dilation) {
            refuse(op, format!("{} further elements with stride {}", further[i], side.stride));
        }
        whole[i] =
            (length - 1).saturating_mul(side.stride).saturating_add(side.span()).saturating_add(further[i]);
        if whole[i] > shape::LARGEST {
            refuse(op, format!("a result of {} elements along an axis", whole[i]));
        }
        match whole[i].checked_sub(side.before + side.after) {
            Some(length) if length > 0 => size[i] = length,
            _ => refuse(op, format!("{:?} leaves nothing of {} elements", options.border, whole[i])),
        }
    }
    let out = of_group * groups;
    let dilated = along.iter().any(|side| side.dilation > 1);
    let even = along.iter().all(|side| side.before == side.after);
    if groups == 1 && !dilated && even {
        let window = Window2d { stride: options.stride, padding: [along[0].before, along[1].before] };
        return x.conv2d_image(kernel, size, window);
    }
    // What each place of the windows gets, of each group, and then all added up.
    let x = x.reshape(&[batch, groups, channels / groups, height * width]);
    let kernel = kernel.reshape(&[groups, channels / groups, of_group * kh * kw]);
    let places = kernel.transpose().batch_matmul(&x).reshape(&[batch, out, kh * kw, height, width]);
    let mut y = if dilated {
        added(&places, &along, whole)
    } else {
        places.fold2d(whole, [kh, kw], Window2d { stride: options.stride, padding: [0, 0] })
    };
    for (i, side) in along.iter().enumerate() {
        if side.before + side.after > 0 {
            y = y.slice(i as isize + 2, side.before..side.before + size[i]);
        }
    }
    y
}

/// [`Tensor::fold2d`] of dilated windows: the adjoint of [`windows`].
#[track_caller]
fn added<T: Tensor>(places: &T, along: &[Along; 2], whole: [usize; 2]) -> T {
    let [rows, columns] = along;
    let lengths: Shape = places.shape();
    let mut sum: Option<T> = None;
    for i in 0..rows.kernel {
        for j in 0..columns.kernel {
            let mut y = places.index(2, i * columns.kernel + j);
            for (axis, side, at) in [(0, rows, i), (1, columns, j)] {
                let before = at * side.dilation;
                let covered = (lengths[axis + 3] - 1) * side.stride + 1;
                let after = whole[axis] - before - covered;
                y = y.pad(axis as isize + 2, Padding { before, after, interior: side.stride - 1 });
            }
            sum = Some(match sum {
                None => y,
                Some(sum) => sum + y,
            });
        }
    }
    sum.expect("a window has a place")
}

/// Which of the two poolings.
#[derive(Clone, Copy, PartialEq)]
pub enum Pooled {
    Mean,
    Largest,
}

/// [`Tensor::adaptive_avg_pool2d`] and [`Tensor::adaptive_max_pool2d`].
#[track_caller]
pub fn adaptive_pool2d<T: Tensor>(op: &'static str, x: &T, size: [usize; 2], pooled: Pooled) -> T {
    let [batch, channels, height, width] = four(op, "an image", x);
    for (from, to) in [height, width].into_iter().zip(size) {
        if to == 0 || to > from {
            refuse(
                op,
                format!("[{height}, {width}] to {size:?}: it takes an element for each window, and a window"),
            );
        }
    }
    let [rows, columns] = size;
    if height % rows == 0 && width % columns == 0 {
        let windows = x.reshape(&[batch, channels, rows, height / rows, columns, width / columns]);
        return match pooled {
            Pooled::Mean => windows.mean([3, 5]),
            Pooled::Largest => windows.max([3, 5]),
        };
    }
    // Windows are rectangles: rows first, and columns of these.
    let mut x = x.clone();
    for (axis, (from, to)) in [(2, (height, rows)), (3, (width, columns))] {
        let mut parts = Vec::with_capacity(to);
        for i in 0..to {
            let window = x.slice(axis, i * from / to..((i + 1) * from).div_ceil(to));
            let one = match pooled {
                Pooled::Mean => window.mean(axis),
                Pooled::Largest => window.max(axis),
            };
            parts.push(one);
        }
        x = T::stack(&parts, axis);
    }
    x
}
