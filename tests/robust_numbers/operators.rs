//! Every operator that takes a number, a shape or an index, with whatever is drawn for it.

use antiphon::control::{TreeArrays, scan};
use antiphon::nn::{self, Conv2d, Dropout, Init, LayerNorm, Recurrent, Rng};
use antiphon::random::Key;
use antiphon::{Border, Convolution, Int, IntTensor, Mask, Norm, OrRaise, Side, Tensor, einsum};

use crate::draw::Draw;

#[track_caller]
fn int<T: Tensor>(shape: &[usize], elements: &[i64]) -> T::Int {
    T::Int::from_elements(shape, elements).or_raise()
}

/// Indices of a shape, most of them in range.
#[track_caller]
fn indices<T: Tensor>(shape: &[usize], c: &mut Draw) -> T::Int {
    int::<T>(shape, &c.ints(shape))
}

macro_rules! operators {
    ($($name:literal => |$x:ident, $c:ident| $body:expr;)*) => {
        pub const NAMES: &[&str] = &[$($name),*];

        /// The operator of this name, of two arrays.
        pub fn apply<T: Tensor>(name: &str, x: &[T; 2], c: &mut Draw) -> T {
            match name {
                $($name => {
                    let ($x, $c) = (x, c);
                    $body
                })*
                _ => unreachable!("{name} is none of them"),
            }
        }
    };
}

operators! {
    "full" => |_x, c| T::full(&c.shape(), c.real());
    "zeros" => |_x, c| T::zeros(&c.shape());
    "ones" => |_x, c| T::ones(&c.shape());
    "uniform" => |_x, c| { let seed = T::Int::constant(c.int()); T::uniform(&c.shape(), &seed) };
    "uniform, seeds" => |_x, c| { let seeds = indices::<T>(&c.small(), c); T::uniform(&c.shape(), &seeds) };
    "from_elements" => |_x, c| T::from_elements(&c.shape(), &[1.0, 2.0]).or_raise();
    "integers" => |_x, c| T::from_int(&int::<T>(&c.shape(), &[1, 2]));
    "reshape" => |x, c| x[0].reshape(&c.other_shape(&x[0].shape()));
    "reshape integers" => |_x, c| {
        let shape = c.small();
        let ids = indices::<T>(&shape, c);
        T::from_int(&ids.reshape(&c.other_shape(&shape)))
    };
    "permute" => |x, c| { let order: Vec<usize> = x[0].shape().iter().map(|_| c.position()).collect(); x[0].permute(&order) };
    "broadcast_to" => |x, c| { let shape = c.shape(); x[0].broadcast_to(&shape) };
    "broadcast_to more" => |x, c| {
        let shape: Vec<usize> = c.shape().into_iter().chain(x[0].shape()).collect();
        x[0].broadcast_to(&shape)
    };
    "sum" => |x, c| x[0].sum(c.axis());
    "sum, unsigned" => |x, c| x[0].sum(c.position());
    "sum, two" => |x, c| x[0].sum([c.axis(), c.axis()]);
    "max" => |x, c| x[0].max(c.axis());
    "logsumexp" => |x, c| x[0].logsumexp([c.position()]);
    "mean" => |x, c| x[0].mean(c.axis());
    "var" => |x, c| x[0].var(c.position());
    "min" => |x, c| x[0].min(c.axis());
    "softmax" => |x, c| x[0].softmax(c.axis());
    "log_softmax" => |x, c| x[0].log_softmax(c.axis());
    "argmax" => |x, c| T::from_int(&x[0].argmax(c.axis()));
    "matmul" => |x, _c| x[0].matmul(&x[1]);
    "batch_matmul" => |x, _c| x[0].batch_matmul(&x[1]);
    "large products" => |x, c| {
        let (m, n) = (c.length(), c.length());
        x[0].sum(..).broadcast_to(&[m, 1]).matmul(&x[1].sum(..).broadcast_to(&[1, n]))
    };
    "add" => |x, _c| x[0].clone() + &x[1];
    "pow" => |x, _c| x[0].pow(&x[1]);
    "strong_mul" => |x, _c| x[0].strong_mul(&x[1]);
    "atan2" => |x, _c| x[0].atan2(&x[1]);
    "hypot" => |x, _c| x[0].hypot(&x[1]);
    "fmod" => |x, c| (x[0].clone() * c.real()).fmod(&x[1]);
    "remainder" => |x, c| x[0].remainder(&(x[1].clone() * c.real()));
    "logaddexp" => |x, c| (x[0].clone() * c.real()).logaddexp(&x[1]);
    "xlogy" => |x, c| (x[0].clone() * c.real()).xlogy(&x[1]);
    "polygamma" => |x, c| x[0].polygamma(c.below(3) as u32) + x[1].polygamma(u32::MAX - c.below(2) as u32);
    "nan_to_num" => |x, c| { let (nan, high) = (c.real(), c.real()); x[0].log().nan_to_num(nan, high, c.real()) };
    "hyperbolic" => |x, c| { let y = x[0].clone() * c.real(); y.sinh() + y.cosh() + y.asinh() + y.acosh() + y.atanh() };
    "inverses" => |x, c| { let y = x[0].clone() * c.real(); y.asin() + y.acos() + y.atan() + y.cbrt() + y.erfc() };
    "logarithms" => |x, c| { let y = x[0].clone() * c.real(); y.log2() + y.log10() + y.exp2() };
    "special" => |x, c| { let y = x[0].clone() * c.real(); y.lgamma() + y.digamma() + y.i0() + y.i1() + y.sinc() };
    "rounded" => |x, c| { let y = x[0].clone() * c.real(); y.floor() + y.ceil() + y.round() + y.trunc() };
    "to_int" => |x, c| T::from_int(&(x[0].clone() * c.real()).to_int());
    "maximum" => |x, _c| x[0].maximum(&x[1]);
    "select" => |x, _c| T::select(&x[0].less(&x[1]), &x[0], &x[1]);
    "masks" => |x, _c| {
        let mask = x[0].less(&T::constant(0.0)).or(&x[1].greater_equal(&T::constant(0.5)).not());
        T::from_mask(&mask)
    };
    "concat" => |x, c| T::concat(x, c.axis());
    "concat one" => |x, c| T::concat(&x[..c.below(2)], c.axis());
    "stack" => |x, c| T::stack(&[x[0].clone(), x[0].clone()], c.axis());
    "split" => |x, c| x[0].split(&[c.length(), c.length()], c.axis())[0].clone();
    "slice" => |x, c| { let range = c.range(); x[0].slice(c.axis(), range) };
    "slice_step" => |x, c| { let range = 0..c.below(4); x[0].slice_step(c.axis(), range, c.length()) };
    "slice_step, any" => |x, c| { let range = c.range(); x[0].slice_step(c.axis(), range, c.length()) };
    "slice integers" => |_x, c| {
        let ids = indices::<T>(&c.small(), c);
        T::from_int(&ids.slice(c.axis(), c.range()))
    };
    "index" => |x, c| x[0].index(c.axis(), c.length());
    "unsqueeze" => |x, c| x[0].unsqueeze(c.axis());
    "flip" => |x, c| x[0].flip(c.axis());
    "pad" => |x, c| { let padding = c.padding(); x[0].pad(c.axis(), padding) };
    "gather_rows" => |x, c| x[0].gather_rows(&indices::<T>(&c.small(), c));
    "gather_rows of integers" => |_x, c| {
        let ids = indices::<T>(&c.small(), c);
        T::from_int(&ids.gather_rows(&indices::<T>(&c.small(), c)))
    };
    "scatter_rows" => |x, c| {
        let shape = x[0].shape();
        let ids = indices::<T>(&shape[..shape.len().min(1)], c);
        x[0].scatter_rows(&ids, c.length())
    };
    "set rows" => |x, c| {
        let ids = indices::<T>(&c.small(), c);
        x[0].clone().at(&ids).set(&x[1])
    };
    "add to elements" => |x, c| {
        let ids = indices::<T>(&c.small(), c);
        x[0].clone().at((c.length(), &ids)).add(&x[1])
    };
    "part" => |x, c| { let range = c.range(); x[0].clone().at((range, c.length())).get() };
    "gather_last" => |x, c| {
        let shape = x[0].shape();
        x[0].gather_last(&indices::<T>(&shape[..shape.len().saturating_sub(1)], c))
    };
    "scatter_last" => |x, c| { let ids = indices::<T>(&x[0].shape(), c); x[0].scatter_last(&ids, c.length()) };
    "cross_entropy" => |x, c| {
        let shape = x[0].shape();
        x[0].cross_entropy(&indices::<T>(&shape[..shape.len().saturating_sub(1)], c))
    };
    "conv2d" => |x, c| x[0].conv2d(&x[1], c.window());
    "conv2d_image" => |x, c| { let size = c.pair(); x[0].conv2d_image(&x[1], size, c.window()) };
    "conv2d_kernel" => |x, c| { let size = c.pair(); x[0].conv2d_kernel(&x[1], size, c.window()) };
    "unfold2d" => |x, c| { let kernel = c.pair(); x[0].unfold2d(kernel, c.window()) };
    "fold2d" => |x, c| { let (size, kernel) = (c.pair(), c.pair()); x[0].fold2d(size, kernel, c.window()) };
    "max_pool2d" => |x, c| { let kernel = c.pair(); x[0].max_pool2d(kernel, c.window()) };
    "avg_pool2d" => |x, c| { let kernel = c.pair(); x[0].avg_pool2d(kernel, c.window()) };
    "powi" => |x, c| x[0].powi(c.exponent());
    "clamp" => |x, c| { let low = c.real(); x[0].clamp(low, c.real()) };
    "dropout" => |x, c| { let rate = c.real(); x[0].dropout(rate, &T::Int::constant(c.int())) };
    "prod" => |x, c| x[0].prod([c.axis(), c.axis()]);
    "cumsum" => |x, c| x[0].cumsum(c.axis());
    "cummax" => |x, c| x[0].cummax(c.axis());
    "norms" => |x, c| x[0].norm(Norm::Two, c.axis()) + x[0].norm(Norm::Infinity, c.axis());
    "std_ddof" => |x, c| { let axis = c.axis(); x[0].std_ddof(axis, c.length()) };
    "any" => |x, c| T::from_mask(&T::any(&x[0].less(&x[1]), c.axis()));
    "argmin" => |x, c| T::from_int(&x[0].argmin(c.axis()));
    "sort" => |x, c| x[0].sort(c.axis());
    "topk" => |x, c| { let k = c.length(); x[0].topk(k, c.axis()).0 };
    "quantile" => |x, c| { let q = c.real(); x[0].quantile(q, c.axis()) };
    "searchsorted" => |x, _c| T::from_int(&x[0].searchsorted(&x[1], Side::Left));
    "one_hot" => |_x, c| { let ids = indices::<T>(&c.small(), c); T::one_hot(&ids, c.length()) };
    "clip" => |x, c| { let high = T::constant(c.real()); x[0].clip(&x[1], &high) };
    "tile" => |x, c| { let counts = c.shape(); x[0].tile(&counts) };
    "repeat" => |x, c| { let count = c.length(); x[0].repeat(count, c.axis()) };
    "roll" => |x, c| { let shift = c.axis(); x[0].roll(shift, c.axis()) };
    "diag" => |x, c| x[0].diag(c.axis());
    "diagonal" => |x, c| x[0].diagonal(c.axis());
    "tril" => |x, c| x[0].tril(c.axis()) + x[0].triu(c.axis());
    "kron" => |x, _c| x[0].kron(&x[1]);
    "tensordot" => |x, c| { let axis = c.axis(); x[0].tensordot(&x[1], &[axis], &[c.axis()]) };
    "einsum" => |x, c| {
        let subscripts = ["ij,jk->ik", "ij,ij", "...i,...i", "ii,i->i", "...,...->...", "i,j"];
        einsum(subscripts[c.below(6)], &[&x[0], &x[1]])
    };
    "convolve2d" => |x, c| {
        let (stride, dilation, border) = (c.pair(), c.pair(), Border::Each([(c.length(), 0), (0, c.length())]));
        x[0].convolve2d(&x[1], &Convolution { stride, dilation, groups: c.length(), border })
    };
    "conv_transpose2d" => |x, c| {
        let (stride, dilation, border) = (c.pair(), c.pair(), Border::Both(c.pair()));
        x[0].conv_transpose2d(&x[1], &Convolution { stride, dilation, groups: c.length(), border }, c.pair())
    };
    "conv_transpose1d" => |x, c| {
        let options = Convolution { stride: [c.length()], dilation: [c.length()], groups: c.length(), border: Border::Both([c.length()]) };
        x[0].conv_transpose1d(&x[1], &options, c.length())
    };
    "conv1d" => |x, c| {
        let border = if c.below(2) == 0 { Border::Same } else { Border::Both([c.length()]) };
        let (stride, dilation) = ([c.length()], [c.length()]);
        x[0].conv1d(&x[1], &Convolution { stride, dilation, groups: c.length(), border })
    };
    "adaptive pools" => |x, c| {
        let size = c.pair();
        x[0].adaptive_avg_pool2d(size) + x[0].adaptive_max_pool2d(size)
    };
    "random keys" => |_x, c| Key::new(&T::Int::constant(c.int())).normal::<T>(&c.shape());
    "permutation" => |_x, c| T::from_int(&Key::new(&T::Int::constant(c.int())).permutation::<T>(c.length()));
    "bernoulli" => |_x, c| {
        let key = Key::new(&T::Int::constant(1));
        T::from_mask(&key.bernoulli::<T>(&[2], c.real()))
    };
    "integer arithmetic" => |_x, c| {
        let shape = c.small();
        let (a, b) = (indices::<T>(&shape, c), indices::<T>(&c.small(), c));
        T::from_int(&((a.clone() + &b) * &a - &b))
    };
    "integer quotients" => |_x, c| {
        let (a, b) = (indices::<T>(&c.small(), c), indices::<T>(&c.small(), c));
        let both = a.floor_divide(&b) + a.remainder(&b) - a.maximum(&b) + a.minimum(&b);
        T::from_int(&(both + (-a).abs()))
    };
    "integer comparison" => |x, c| {
        let (a, b) = (indices::<T>(&c.small(), c), indices::<T>(&c.small(), c));
        T::select(&a.less(&b).and(&a.equal(&b)), &x[0], &x[1])
    };
    "cond" => |x, _c| T::cond(&x[0].less(&x[1]), || x[0].clone() + 1.0, || x[0].exp());
    "while_loop" => |x, _c| T::while_loop(x[0].clone(), |y| y.greater(y), |y| y);
    "scan" => |x, _c| scan(x[1].clone(), &x[0], |sum, x| (sum.clone(), sum + x)).or_raise().1;
    "fold_tree" => |x, c| {
        // Node 0 is above 1 and 2, and 2 is a leaf, or above itself never: that would only end with the stack.
        let below = match c.int() {
            0 | 2 => 1,
            any => any,
        };
        let (left, right) = (int::<T>(&[3], &[1, -1, below]), int::<T>(&[3], &[2, 0, 1]));
        let tree = TreeArrays { left, right, root: T::Int::constant(c.int()) };
        T::fold_tree(&tree, |node| x[0].gather_rows(node), |_, left: T, right| left + right)
    };
    "sample" => |_x, c| Init::GlorotNormal.sample(&c.shape(), &mut Rng::new(1));
    "linear" => |x, c| nn::Linear::new(&mut Rng::new(1), c.length(), c.length()).apply(&x[0]);
    "embedding" => |_x, c| {
        let layer = nn::Embedding::<T>::new(&mut Rng::new(1), c.length(), c.length());
        layer.apply(&indices::<T>(&c.small(), c))
    };
    "recurrent" => |x, c| {
        let cell = nn::Lstm::new(&mut Rng::new(1), c.length(), c.length());
        cell.sequence(cell.initial(c.length()), &x[0]).0
    };
    "recurrent weights" => |x, c| {
        let cell = nn::Rnn { wx: x[0].clone(), wh: x[1].clone(), b: x[1].clone() };
        cell.unroll(cell.initial(c.length()), &x[0]).0
    };
    "norm" => |x, c| LayerNorm::new(c.length()).apply(&x[0]);
    "convolution" => |x, c| Conv2d::new(&mut Rng::new(1), c.length(), c.length(), c.pair()).apply(&x[0]);
    "dropout layer" => |x, c| match Dropout::new(c.real()) {
        Ok(layer) => layer.apply(&x[0], &T::Int::constant(c.int())),
        Err(_) => x[0].clone(),
    };
}
