//! Two-dimensional convolution and pooling.

use crate::Params;
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
    /// Raises [`Error::Shape`](crate::Error::Shape) if the channels differ, and
    /// [`Error::Operand`](crate::Error::Operand) if the kernel does not fit into the padded image.
    #[track_caller]
    pub fn apply(&self, image: &T) -> T {
        let out = self.b.size();
        image.conv2d(&self.kernel, self.window) + self.b.reshape(&[out, 1, 1])
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
