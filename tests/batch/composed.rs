//! What is composed of other operators, on batches.

use antiphon::random::Key;
use antiphon::{Border, Convolution, Int, Mask, Norm, Side, Tensor, einsum};

use crate::case::cases;

/// Indices of an array's largest elements along its last axis: they differ from row to row where it does.
fn largest<T: Tensor>(x: &T) -> T::Int {
    x.argmax(-1)
}

cases! {
    twice: in_branch;
    prod [&[2, 3]], |x| x[0].prod(-1).square();
    norms [&[2, 3]], |x| x[0].norm(Norm::Two, 0).sum(..) * x[0].norm(Norm::Infinity, -1) + x[0].norm(Norm::One, ..);
    spreads [&[2, 3]], |x| x[0].std(0).sum(..) + x[0].std_ddof(-1, 1) * x[0].var_ddof(.., 1);
    cumulative [&[2, 5]], |x| x[0].cumsum(1) * x[0].cumprod(-1) + x[0].cummax(0) * x[0].cummin(1);
    argmin [&[3, 2], &[2]], |x| T::from_int(&x[0].argmin(0)) * &x[1];
    any_all_count [&[2, 3], &[2]], |x| {
        let small = x[0].less(&T::constant(1.0));
        let some = T::any(&small, -1).and(&T::all(&small, -1).not());
        T::select(&some, &x[1].square(), &x[1]) * T::count_nonzero(&small, 0).sum(..)
    };
    sort [&[2, 4]], |x| x[0].sort(1).square() * x[0].sort(0);
    argsort [&[2, 4], &[4]], |x| T::from_int(&x[0].argsort(-1)) * &x[1];
    topk [&[2, 4]], |x| { let (values, places) = x[0].topk(2, -1); values.square() * T::from_int(&places) };
    quantile [&[2, 4]], |x| x[0].quantile(0.4, 0).sum(..) * x[0].median(-1).square();
    searchsorted [&[4], &[2, 3]], |x| {
        T::from_int(&x[0].sort(0).searchsorted(&x[1], Side::Left)) * x[1].square()
    };
    searchsorted_rows [&[2, 4], &[2, 3]], |x| {
        T::from_int(&x[0].sort(1).searchsorted(&x[1], Side::Right)) * x[1].square()
    };
    one_hot [&[2, 3], &[3]], |x| T::one_hot(&largest(&x[0]), 3) * &x[1];
    clip [&[6], &[6], &[]], |x| x[0].clip(&(x[1].clone() * 0.5), &x[2]).square();
    tile_repeat_roll [&[2, 3]], |x| x[0].tile(&[2, 1]).roll(1, 0) * x[0].repeat(2, 0).roll(-1, 1);
    diagonals [&[3, 3], &[3]], |x| (x[1].square().diag(0) * &x[0]).diagonal(0) * x[0].trace();
    triangles [&[3, 3]], |x| x[0].tril(0).square() + x[0].triu(1) * &x[0];
    outer_kron [&[2], &[3]], |x| x[0].outer(&x[1]).reshape(&[6]) * x[0].kron(&x[1]);
    tensordot [&[2, 3], &[2, 2, 3]], |x| x[0].tensordot(&x[1], &[1, 0], &[2, 0]);
    einsum_pair [&[2, 3], &[3, 2]], |x| einsum("ij,jk->ki", &[&x[0], &x[1]]);
    einsum_three [&[2, 2], &[2, 3], &[3]], |x| einsum("ii,...j,j->i...", &[&x[0], &x[1], &x[2]]);
    conv1d [&[2, 2, 5], &[2, 1, 2]], |x| {
        let options = Convolution { groups: 2, border: Border::Same, ..Convolution::default() };
        x[0].conv1d(&x[1], &options)
    };
    convolve2d [&[1, 2, 4, 3], &[2, 2, 2, 2]], |x| {
        let options = Convolution { dilation: [2, 1], border: Border::Both([1, 0]), ..Convolution::default() };
        x[0].convolve2d(&x[1], &options)
    };
    conv_transpose1d [&[1, 2, 3], &[2, 1, 2]], |x| {
        let options = Convolution { stride: [2], groups: 2, ..Convolution::default() };
        x[0].conv_transpose1d(&x[1], &options, 1)
    };
    conv_transpose2d [&[1, 2, 2, 2], &[2, 1, 2, 2]], |x| {
        let options = Convolution { stride: [2, 1], groups: 2, ..Convolution::default() };
        x[0].conv_transpose2d(&x[1], &options, [0, 0])
    };
    adaptive_pools [&[1, 1, 4, 3]], |x| x[0].adaptive_avg_pool2d([2, 2]) * x[0].adaptive_max_pool2d([2, 2]);
    random [&[3], &[4]], |x| {
        let [a, b, c] = Key::new(&largest(&x[0])).split();
        let noise = a.fold_in(&T::Int::constant(5)).normal::<T>(&[4]) * b.uniform::<T>(&[4]);
        let class = T::from_int(&c.categorical(&x[1]));
        noise * x[1].gather_rows(&c.permutation::<T>(4)) * (class + 1.0)
    };
}
