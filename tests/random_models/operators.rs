//! Operators whose bounds are checked besides those that models are made of everywhere.

use antiphon::{Norm, OrRaise, Side, Tensor, Window2d};

/// An operator of an array of at least one axis, with what is fixed about it.
#[derive(Clone, Debug)]
pub enum More {
    Median(isize),
    Quantile(isize, f64),
    Sort(isize),
    /// The largest ones of an axis.
    TopK(isize),
    Norm(isize, Norm),
    Deviation(isize),
    LogSoftmax(isize),
    /// Of rows whose classes are given, or are those of the largest logits.
    CrossEntropy {
        given: bool,
    },
    Standardize(isize),
    DivideByRms(isize),
    SumUpTo(isize),
    ProductUpTo(isize),
    LargestUpTo(isize),
    Product(isize),
    MaxPool(Pooled),
    MeanPool(Pooled),
    /// The array's own elements as an image's kernel of two by two.
    Convolve(Window2d),
    Fold(Window2d),
    Roll(isize),
    Tile,
    Repeat(isize),
    Triangle,
    Diagonal,
    Outer,
    Gelu,
    Ceil,
    Trunc,
    Polygamma(u32),
    Pow(f64),
    /// To a constant's power, which moves.
    Exponential(f64),
    Reciprocal(i32),
    Fmod(f64),
    Remainder(f64),
    NanToNum,
    /// To integers and back.
    Integers,
    /// The largest element's place, as a row.
    Place,
    Clip,
    SearchSorted,
    Dropout,
    /// Sums of neighbouring rows, by a loop.
    Scan,
    /// An affine function with large numbers in it, limited by branches.
    Branches([f64; 2]),
    /// A constant of another shape, one of whose elements is tiny.
    Tiny,
}

/// Windows of an image.
#[derive(Clone, Copy, Debug)]
pub struct Pooled {
    pub kernel: [usize; 2],
    pub window: Window2d,
}

impl More {
    pub const COUNT: usize = 42;

    /// The operator of a number, an axis and smaller numbers.
    pub fn of(which: usize, axis: usize, mut below: impl FnMut(usize) -> usize) -> More {
        let axis = axis as isize;
        let mut window = || Window2d { stride: [1 + below(2), 1 + below(2)], padding: [below(2), below(2)] };
        match which {
            0 => More::Median(axis),
            1 => More::Quantile(axis, [0.25, 0.9, 0.0, 1.0][below(4)]),
            2 => More::Sort(axis),
            3 => More::TopK(axis),
            4 => More::Norm(axis, [Norm::One, Norm::Two, Norm::Infinity][below(3)]),
            5 => More::Deviation(axis),
            6 => More::LogSoftmax(axis),
            7 => More::CrossEntropy { given: below(4) > 0 },
            8 => More::Standardize(axis),
            9 => More::DivideByRms(axis),
            10 => More::SumUpTo(axis),
            11 => More::ProductUpTo(axis),
            12 => More::LargestUpTo(axis),
            13 => More::Product(axis),
            14 => {
                let window = window();
                More::MaxPool(Pooled { kernel: [1 + below(3), 2 + below(2)], window })
            }
            15 => {
                let window = window();
                More::MeanPool(Pooled { kernel: [1 + below(3), 2 + below(2)], window })
            }
            16 => More::Convolve(window()),
            17 => More::Fold(window()),
            18 => More::Roll(axis),
            19 => More::Tile,
            20 => More::Repeat(axis),
            21 => More::Triangle,
            22 => More::Diagonal,
            23 => More::Outer,
            24 => More::Gelu,
            25 => More::Ceil,
            26 => More::Trunc,
            27 => More::Polygamma(below(3) as u32),
            28 => More::Pow([0.5, 1.5, -0.5, 3.0, 0.0, 1.0][below(6)]),
            29 => More::Exponential([0.5, 2.0, 1.0][below(3)]),
            30 => More::Reciprocal([-1, -2, -3, 5][below(4)]),
            31 => More::Fmod([0.3, -0.7, 2.0, 0.1][below(4)]),
            32 => More::Remainder([0.3, -0.7, 2.0, 0.1][below(4)]),
            33 => More::NanToNum,
            34 => More::Integers,
            35 => More::Place,
            36 => More::Clip,
            37 => More::SearchSorted,
            38 => More::Dropout,
            39 => More::Scan,
            40 => More::Branches([[0.5, 0.25], [-1e3, 1e-3], [1.0, 1.0]][below(3)]),
            _ => More::Tiny,
        }
    }

    /// Applies it; raises the operator's error if the operand does not fit.
    pub fn apply<T: Tensor>(&self, a: &T, indices: &T::Int, seed: &T::Int) -> T {
        let constant = T::constant;
        let image = |x: &T| {
            let shape = x.shape();
            let columns = shape.last().copied().unwrap_or(1);
            x.reshape(&[1, 1, shape.iter().product::<usize>() / columns.max(1), columns])
        };
        // Away from zero.
        let positive = |x: &T| x.softplus() + 0.1;
        match *self {
            More::Median(axis) => a.median(axis),
            More::Quantile(axis, q) => a.quantile(q, axis),
            More::Sort(axis) => a.sort(axis),
            More::TopK(axis) => a.topk(2, axis).0,
            More::Norm(axis, norm) => a.norm(norm, axis),
            More::Deviation(axis) => a.std(axis),
            More::LogSoftmax(axis) => a.log_softmax(axis),
            More::CrossEntropy { given: true } => {
                let rows = a.reshape(&[a.size() / 2, 2]).slice(0, 0..2);
                rows.cross_entropy(indices)
            }
            More::CrossEntropy { given: false } => a.cross_entropy(&a.argmax(-1)),
            More::Standardize(axis) => a.standardize(axis, 0.1),
            More::DivideByRms(axis) => a.divide_by_rms(axis, 0.1),
            More::SumUpTo(axis) => a.cumsum(axis),
            More::ProductUpTo(axis) => a.cumprod(axis),
            More::LargestUpTo(axis) => a.cummax(axis),
            More::Product(axis) => a.prod(axis),
            More::MaxPool(Pooled { kernel, window }) => image(a).max_pool2d(kernel, window),
            More::MeanPool(Pooled { kernel, window }) => image(a).avg_pool2d(kernel, window),
            More::Convolve(window) => {
                let kernel = T::from_elements(&[2, 1, 2, 2], &[0.5, -1.0, 0.3, 2.0, 1.0, 0.0, -0.7, 0.1]);
                image(a).conv2d(&kernel.or_raise(), window)
            }
            More::Fold(window) => {
                let shape = image(a).shape();
                let kernel = [2, 2];
                image(a).unfold2d(kernel, window).sin().fold2d([shape[2], shape[3]], kernel, window)
            }
            More::Roll(axis) => a.roll(1, axis),
            More::Tile => a.tile(&vec![2; a.rank()]),
            More::Repeat(axis) => a.repeat(2, axis),
            More::Triangle => a.tril(0),
            More::Diagonal => a.diagonal(0),
            More::Outer => a.slice(0, 0..1).outer(a),
            More::Gelu => a.gelu(),
            More::Ceil => a.ceil(),
            More::Trunc => a.trunc(),
            More::Polygamma(order) => positive(a).polygamma(order),
            More::Pow(n) => positive(a).pow(&constant(n)),
            More::Exponential(base) => constant(base).pow(a),
            More::Reciprocal(n) => positive(a).powi(n),
            More::Fmod(by) => a.fmod(&constant(by)),
            More::Remainder(by) => a.remainder(&constant(by)),
            More::NanToNum => a.nan_to_num(0.0, 1.0, -1.0),
            More::Integers => T::from_int(&(a.clone() * 2.0).to_int()) + a,
            More::Place => T::one_hot(&a.argmax(-1), a.shape().last().copied().unwrap_or(1)) + a,
            More::Clip => a.clip(&(a.sin() * 0.5), &constant(0.75)),
            More::SearchSorted => {
                let edges = T::from_elements(&[3], &[-1.0, 0.25, 1.0]).or_raise();
                T::from_int(&edges.searchsorted(a, Side::Left)) * 0.5 + a
            }
            More::Dropout => a.dropout(0.3, seed),
            More::Scan => {
                let summed = T::scan_rows(a.index(0, 0), a, |sum: T, row: T| {
                    let next = (sum * 0.5 + &row).sin();
                    (next.clone(), next)
                });
                summed.or_raise().1
            }
            More::Branches([by, at]) => {
                // Arms that meet, and then others that may not.
                let moved = a.clone() * by + 0.5;
                let less = moved.less(&constant(at));
                let arm = (moved.clone() - at) * 3.0 + at;
                let hinge = T::select(&less, &arm, &moved);
                T::select(&a.less(&constant(0.5)), &(hinge.clone() * 0.1), &(hinge * 0.1))
            }
            More::Tiny => {
                let shape = [&[2][..], a.shape().as_slice()].concat();
                let tiny = T::full(&shape, 1e-170) * (a.clone() * 1e-170);
                tiny * 1e170 * 1e170
            }
        }
    }
}
