//! What is composed of other operators on arrays, in formulas, and the shapes that it is checked for.

use antiphon::check::RunsOn;
use antiphon::random::Key;
use antiphon::{Border, Convolution, Int, IntTensor, Mask, Norm, OrRaise, Side, Tensor, einsum};

use super::{Case, linalg};

/// One program for all cases, picked by the text of the formula.
pub struct Formula(pub &'static str);

macro_rules! formulas {
    ($($group:ident { $($shapes:expr => |$x:ident| $body:expr;)* })*) => {
        impl<T: Tensor> RunsOn<T> for Formula {
            fn call(&self, x: &[T]) -> T {
                $($(
                    if self.0 == stringify!($body) {
                        let $x = x;
                        return $body;
                    }
                )*)*
                linalg::Formula(self.0).call(x)
            }
        }
        $(
            pub const $group: &[Case] = &[$((stringify!($body), $shapes)),*];
        )*
    };
}

/// A vector, rows and columns of all small lengths, and nothing.
const LINES: &[&[&[usize]]] =
    &[&[&[1]], &[&[2]], &[&[3]], &[&[4]], &[&[7]], &[&[2, 3]], &[&[2, 5, 2]], &[&[0]], &[&[0, 3]]];
/// Beyond what is combined by operators of its own, along an axis or in all.
const LONG: &[&[&[usize]]] = &[&[&[20]], &[&[2, 17, 2]], &[&[17, 4]], &[&[0, 17]]];
const SOME: &[&[&[usize]]] = &[&[&[1]], &[&[3]], &[&[4]], &[&[2, 3]], &[&[3, 2, 2]]];

formulas! {
    FURTHER_REDUCTIONS {
        LINES => |x| x[0].prod(..);
        &[&[&[2, 3, 2]], &[&[2, 0, 2]], &[&[2, 1, 2]]] => |x| x[0].prod(1).square();
        &[&[&[2, 3, 2]]] => |x| x[0].prod([2, 0]).square();
        LINES => |x| x[0].norm(Norm::One, ..);
        LINES => |x| x[0].norm(Norm::Infinity, ..).square();
        SOME => |x| x[0].norm(Norm::Two, ..).exp();
        &[&[&[2, 3, 2]], &[&[3, 2]]] => |x| x[0].norm(Norm::Two, [-2, -1]) * x[0].norm(Norm::One, -1).sum(..);
        &[&[&[2, 3, 2]]] => |x| x[0].std(1);
        &[&[&[4]], &[&[2, 3]]] => |x| x[0].std_ddof(.., 1) + x[0].var_ddof(.., 1).square();
        LINES => |x| x[0].cumsum(0).square();
        &[&[&[2, 5, 2]], &[&[2, 0]], &[&[2, 1]], &[&[3, 4]]] => |x| x[0].cumsum(1).square();
        LONG => |x| x[0].cumsum(0).square() + x[0].cumsum(-1);
        LINES => |x| x[0].cumprod(0);
        LONG => |x| x[0].cumprod(-1) + x[0].cumprod(0).square();
        &[&[&[20]], &[&[17, 4]], &[&[0, 17]]] => |x| x[0].cummax(-1).square() * x[0].cummin(0);
        &[&[&[2, 5]]] => |x| x[0].cumprod(-1).square();
        LINES => |x| x[0].cummax(-1).square();
        &[&[&[2, 5]]] => |x| x[0].cummin(-1).square();
        SOME => |x| x[0].square() * T::from_int(&x[0].argmin(-1)).unsqueeze(-1);
        SOME => |x| {
            let positive = x[0].greater(&T::constant(0.0));
            let either = T::any(&positive, -1).and(&T::all(&positive, -1).not());
            T::select(&either, &x[0].sum(-1).square(), &(x[0].sin().sum(-1) * T::count_nonzero(&positive, -1)))
        };
    }
    ORDERS {
        LINES => |x| x[0].sort(0).square();
        &[&[&[2, 4]], &[&[3, 1, 2]]] => |x| x[0].sort(-1) * x[0].sort(1);
        &[&[&[2, 4]]] => |x| x[0].square() * T::from_int(&x[0].argsort(-1)) + T::from_int(&x[0].argsort(0));
        &[&[&[5]], &[&[2, 4]]] => |x| {
            let (largest, places) = x[0].topk(2, -1);
            largest.square() * (T::from_int(&places) + 1.0)
        };
        &[&[&[4, 2]]] => |x| x[0].topk(3, 0).0.square();
        SOME => |x| x[0].median(..).square();
        &[&[&[5]], &[&[2, 3]]] => |x| x[0].quantile(0.3, ..).square();
        &[&[&[2, 3, 2]]] => |x| x[0].quantile(0.8, [0, 2]).square();
        &[&[&[4], &[2, 3]]] =>
            |x| x[1].square() * T::from_int(&x[0].sort(0).searchsorted(&x[1], Side::Left));
        &[&[&[2, 4], &[2, 3]]] =>
            |x| x[1].square() * T::from_int(&x[0].sort(-1).searchsorted(&x[1], Side::Right));
        &[&[&[3, 2]]] => |x| T::one_hot(&T::Int::from_elements(&[2], &[2, 0]).or_raise(), 3).matmul(&x[0]).square();
        &[&[&[2, 4], &[4], &[2, 1]]] => |x| x[0].clip(&x[1], &x[2]).square();
    }
    ARRANGEMENTS {
        &[&[&[2, 3]], &[&[]], &[&[3]], &[&[0]]] => |x| x[0].tile(&[2, 1, 3]).square();
        &[&[&[2, 3]], &[&[2, 0]]] => |x| x[0].tile(&[2]).square() + x[0].tile(&[0, 1]).sum(..);
        &[&[&[2, 3]]] => |x| x[0].repeat(2, 1).square() * x[0].repeat(1, -1).sum(..);
        &[&[&[2, 3]], &[&[2, 1]], &[&[2, 0]]] => |x| x[0].roll(1, 1).square() * x[0].roll(-5, -1) + x[0].roll(2, 0);
        &[&[&[3]], &[&[2, 2]], &[&[0]], &[&[2, 0]]] => |x| x[0].square().diag(0);
        &[&[&[2, 2]]] => |x| x[0].square().diag(1) + x[0].diag(-1).square();
        &[&[&[3, 3]], &[&[2, 4, 3]], &[&[3, 0]]] => |x| x[0].square().diagonal(0);
        &[&[&[4, 3]], &[&[2, 3, 4]]] => |x| {
            let parts = [x[0].diagonal(1), x[0].diagonal(-2), x[0].diagonal(4), x[0].diagonal(-9)];
            T::concat(&parts, -1).square()
        };
        &[&[&[3, 3]], &[&[2, 4, 3]], &[&[0, 0]]] => |x| x[0].trace().square();
        &[&[&[3, 3]], &[&[2, 3, 2]]] => |x| x[0].tril(0).square() + x[0].tril(-1) + x[0].tril(7);
        &[&[&[3, 3]], &[&[2, 3, 2]]] => |x| x[0].triu(0).square() + x[0].triu(1);
        &[&[&[2, 2], &[3]], &[&[], &[2]], &[&[0], &[2]]] => |x| x[0].outer(&x[1]);
        &[&[&[2, 2], &[3, 1]], &[&[2], &[3, 2]], &[&[2, 1, 2], &[2]], &[&[], &[2]]] => |x| x[0].kron(&x[1]);
        &[&[&[2, 3, 2], &[2, 4, 3]]] => |x| x[0].tensordot(&x[1], &[1, 0], &[-1, 0]);
        &[&[&[2, 3], &[2]]] => |x| x[0].tensordot(&x[1], &[0], &[0]) + x[0].tensordot(&x[1], &[], &[]).sum(..);
    }
    EINSUM {
        &[&[&[2, 3], &[3, 4]], &[&[2, 0], &[0, 3]]] => |x| einsum("ij,jk->ik", &[&x[0], &x[1]]);
        &[&[&[2, 3], &[3, 4]]] => |x| einsum("ij, jk", &[&x[0], &x[1]]).square();
        &[&[&[3, 3]]] => |x| einsum("ii->i", &[&x[0]]).square() + einsum("ii", &[&x[0]]);
        &[&[&[2, 3, 2, 3]]] => |x| einsum("ijij->ji", &[&x[0]]).square() + einsum("ijkj->", &[&x[0]]);
        &[&[&[2, 3, 4]]] => |x| einsum("kij->jk", &[&x[0]]).square();
        &[&[&[2, 3], &[2]]] => |x| einsum("ab,c->bca", &[&x[0], &x[1]]);
        &[&[&[2, 3], &[2, 3]]] => |x| einsum("ab,ab->ab", &[&x[0], &x[1]]) * einsum("ab,ab->", &[&x[0], &x[1]]);
        &[&[&[2, 3, 4], &[2, 4, 2]]] => |x| einsum("bij,bjk->bki", &[&x[0], &x[1]]);
        &[&[&[2, 1, 2, 3], &[4, 3, 2]]] => |x| einsum("...ij,...jk->...ik", &[&x[0], &x[1]]);
        &[&[&[2, 3, 4], &[4]]] => |x| einsum("...i,i", &[&x[0], &x[1]]);
        &[&[&[1, 3], &[4, 1]]] => |x| einsum("...,...", &[&x[0], &x[1]]) + einsum("...,...->", &[&x[0], &x[1]]);
        &[&[&[2, 3], &[3, 4], &[4, 2]]] => |x| einsum("ij,jk,kl->il", &[&x[0], &x[1], &x[2]]).square();
        &[&[&[2, 3], &[3, 4], &[2, 4]]] => |x| einsum("ij,jk,ik->", &[&x[0], &x[1], &x[2]]);
        &[&[&[2, 3], &[2]]] => |x| {
            let [a, b] = [&x[0], &x[1]];
            einsum("ij,ik,i,k,kj,l,m->jm", &[a, &b.outer(b), b, b, &a.square(), b, b])
        };
    }
    CONVOLUTIONS {
        &[&[&[2, 2, 5], &[3, 2, 2]]] => |x| x[0].conv1d(&x[1], &Convolution::default());
        &[&[&[1, 2, 6], &[2, 1, 3]]] => |x| {
            let options = Convolution { stride: [2], dilation: [2], groups: 2, border: Border::Each([(1, 2)]) };
            x[0].conv1d(&x[1], &options)
        };
        &[&[&[1, 2, 4, 5], &[2, 2, 2, 3]], &[&[1, 1, 3, 2], &[1, 1, 2, 2]]] =>
            |x| x[0].convolve2d(&x[1], &Convolution { border: Border::Same, ..Convolution::default() });
        &[&[&[1, 4, 4, 3], &[2, 2, 2, 2]]] => |x| {
            x[0].convolve2d(&x[1], &Convolution { groups: 2, border: Border::Both([1, 0]), ..Convolution::default() })
        };
        &[&[&[1, 2, 5, 6], &[2, 2, 2, 2]]] => |x| {
            let border = Border::Each([(0, 1), (2, 1)]);
            x[0].convolve2d(&x[1], &Convolution { stride: [1, 2], dilation: [2, 3], groups: 1, border })
        };
        &[&[&[2, 2, 4], &[2, 2, 3]], &[&[1, 4, 1], &[4, 1, 1]]] => |x| {
            let options = Convolution { stride: [2], groups: 2, border: Border::Both([0]), ..Convolution::default() };
            x[0].conv_transpose1d(&x[1], &options, 1)
        };
        &[&[&[1, 2, 3, 2], &[2, 3, 2, 2]]] =>
            |x| x[0].conv_transpose2d(&x[1], &Convolution { stride: [2, 1], ..Convolution::default() }, [1, 0]);
        &[&[&[1, 2, 3, 2], &[2, 2, 2, 2]]] => |x| {
            let options = Convolution { stride: [2, 1], dilation: [1, 2], groups: 2, border: Border::Both([1, 1]) };
            x[0].conv_transpose2d(&x[1], &options, [0, 1])
        };
        &[&[&[1, 2, 3, 2], &[2, 1, 2, 2]]] => |x| {
            let options = Convolution { groups: 2, border: Border::Each([(1, 0), (0, 1)]), ..Convolution::default() };
            x[0].conv_transpose2d(&x[1], &options, [0, 0])
        };
        &[&[&[1, 2, 4, 6]], &[&[2, 1, 5, 3]]] =>
            |x| x[0].adaptive_avg_pool2d([2, 3]).square() + x[0].adaptive_max_pool2d([2, 3]).square();
    }
    RANDOM_KEYS {
        &[&[&[3, 4]]] => |x| {
            let [a, b, c, d] = Key::new(&T::Int::constant(7)).split();
            let shuffled = x[0].square().gather_rows(&a.permutation::<T>(3));
            let noise = b.normal::<T>(&[3, 4]) + c.uniform_in(&[3, 4], &x[0].min(0), &x[0].max(0));
            let class = T::from_int(&c.fold_in(&T::Int::constant(1)).categorical(&x[0].square())).unsqueeze(-1);
            T::select(&d.bernoulli::<T>(&[3, 4], 0.5), &(shuffled * noise), &x[0].sin()) * class
        };
        &[&[&[5]]] => |x| {
            let key = Key::new(&T::Int::constant(-3));
            T::from_mask(&key.bernoulli_of(&x[0].sigmoid())) * x[0].square() * key.gumbel::<T>(&[5])
        };
    }
}
