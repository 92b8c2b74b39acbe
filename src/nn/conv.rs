//! Two-dimensional convolution and pooling.

use crate::Params;
use crate::continuation::unwinding::raise;
use crate::error::{At, Error};
use crate::language::real::Int;
use crate::language::shape::Window2d;
use crate::language::tensor::Tensor;
use crate::nn::init::{Init, Rng};

/// Cross-correlation with a bias: `[batch, channels, h, w]` to `[batch, out, rows, columns]`; see
/// [`Tensor::conv2d`] for the formula.
#[derive(Clone, Debug, Params)]
pub struct Conv2d<T> {
    /// `[out, channels, kh, kw]`.
    pub kernel: T,
    /// `[out]`.
    pub b: T,
    /// Stride and padding.
    pub window: Window2d,
}

impl<T: Tensor> Conv2d<T> {
    /// Kernel by [`Init::HeUniform`], bias zero; stride one, no padding.
    #[track_caller]
    pub fn new(rng: &mut Rng, channels: usize, out: usize, kernel: [usize; 2]) -> Conv2d<T> {
        Conv2d {
            kernel: Init::HeUniform.sample(&[out, channels, kernel[0], kernel[1]], rng),
            b: T::zeros(&[out]),
            window: Window2d::default(),
        }
    }

    /// The convolution of a batch of images.
    ///
    /// # Errors
    /// Raises [`Error::Shape`] if the channels differ, and
    /// [`Error::Operand`] if the kernel does not fit into the padded image.
    #[track_caller]
    pub fn apply(&self, image: &T) -> T {
        let out = self.b.size();
        image.conv2d(&self.kernel, self.window) + self.b.reshape(&[out, 1, 1])
    }

    /// How many of its columns (`axis` 1) or rows (0) each image of a batch reaches, of so many of the input that it
    /// has, `[batch]`: `⌊(n + 2·padding − kernel)/stride⌋ + 1`, and none if its kernel does not fit. The lengths of
    /// sequences behind a convolution.
    ///
    /// # Errors
    /// Raises [`Error::Argument`] for another axis, and [`Error::Operand`] if the kernel has not four axes.
    ///
    /// ```
    /// use antiphon::nn::{Conv2d, Rng};
    /// use antiphon::{IntTensor, NdArray, NdInt, Window2d};
    /// let mut layer = Conv2d::<NdArray<f32>>::new(&mut Rng::new(1), 1, 4, [3, 5]);
    /// layer.window = Window2d { stride: [1, 2], padding: [1, 2] };
    /// assert_eq!(layer.lengths(&NdInt::from(vec![10, 7, 0]), 1).elements(), Some(vec![5, 4, 0]));
    /// ```
    #[track_caller]
    pub fn lengths(&self, lengths: &T::Int, axis: usize) -> T::Int {
        let (shape, at) = (self.kernel.shape(), At::caller());
        if axis > 1 {
            let reason = format!("axis {axis} of an image, which has 0 and 1");
            raise(Error::Argument { op: "conv2d", reason, at });
        }
        let Some(&kernel) = shape.get(2 + axis) else {
            let reason = "should be [out, channels, kh, kw]".into();
            raise(Error::Operand { op: "conv2d", shape: shape[..].into(), reason, at })
        };
        let Window2d { stride, padding } = self.window;
        let [padding, kernel, stride] = [2 * padding[axis], kernel, stride[axis]].map(|n| n as i64);
        let count = (lengths.clone() + (padding - kernel)).floor_divide(&T::Int::constant(stride)) + 1;
        // Of nothing there is nothing, also where the padding alone has room for the kernel.
        let zero = T::Int::constant(0);
        T::Int::select(&lengths.greater(&zero), &count.maximum(&zero), &zero)
    }
}

/// Pooling of `[batch, channels, h, w]` by windows; it has no parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool2d {
    /// Height and width of the windows.
    pub kernel: [usize; 2],
    /// Stride and padding.
    pub window: Window2d,
}

impl Pool2d {
    /// Windows that tile the image: the stride is their size, and there is no padding.
    pub fn new(kernel: [usize; 2]) -> Pool2d {
        Pool2d { kernel, window: Window2d { stride: kernel, ..Window2d::default() } }
    }

    /// The largest of each window; see [`Tensor::max_pool2d`].
    #[track_caller]
    pub fn max<T: Tensor>(&self, image: &T) -> T {
        image.max_pool2d(self.kernel, self.window)
    }

    /// The mean of each window; see [`Tensor::avg_pool2d`].
    #[track_caller]
    pub fn mean<T: Tensor>(&self, image: &T) -> T {
        image.avg_pool2d(self.kernel, self.window)
    }
}
