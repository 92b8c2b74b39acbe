//! Every array operator in a formula, and the shapes that it is checked for.

#[path = "../../support/composed.rs"]
pub mod composed;
#[path = "../../support/linalg.rs"]
pub mod linalg;

use antiphon::check::RunsOn;
use antiphon::{Int, IntTensor, NdArray, OrRaise, Padding, Tensor, Window2d};

/// Values without ties or kinks, different for each argument.
pub fn array(shape: &[usize], seed: u64) -> NdArray<f64> {
    let n: usize = shape.iter().product();
    let elements: Vec<f64> = (0..n)
        .map(|i| {
            let bits = (i as u64 + 1)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .wrapping_add(seed.wrapping_mul(0xD1B5_4A32_D192_ED03));
            let unit = ((bits ^ (bits >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 11) as f64
                / (1u64 << 53) as f64;
            let x = 0.15 + 1.3 * unit;
            if bits & 4 == 0 { x } else { -x }
        })
        .collect();
    NdArray::from_elements(shape, &elements).unwrap()
}

/// One program for all cases, picked by the text of the formula: compiled once for each nesting of interpretations.
pub struct Formula(pub &'static str);

/// A formula, and the shapes of the arguments that it is checked for.
pub type Case = (&'static str, &'static [&'static [&'static [usize]]]);

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
                composed::Formula(self.0).call(x)
            }
        }
        $(
            pub const $group: &[Case] = &[$((stringify!($body), $shapes)),*];
        )*
        /// All of them.
        #[allow(dead_code, reason = "one of the tests that share this table takes it group by group")]
        pub const ALL: &[&[Case]] =
            &[$($group,)* composed::FURTHER_REDUCTIONS, composed::ORDERS, composed::ARRANGEMENTS, composed::EINSUM,
              composed::CONVOLUTIONS, composed::RANDOM_KEYS, linalg::LINEAR_ALGEBRA];
    };
}

fn int<T: Tensor>(shape: &[usize], elements: &[i64]) -> T::Int {
    T::Int::from_elements(shape, elements).or_raise()
}

const ANY: &[&[&[usize]]] =
    &[&[&[]], &[&[3]], &[&[1]], &[&[0]], &[&[2, 3]], &[&[1, 3]], &[&[2, 0, 3]], &[&[2, 1, 3]]];
/// Pairs that broadcast in every way there is.
const PAIRS: &[&[&[usize]]] = &[
    &[&[], &[]],
    &[&[2, 3], &[2, 3]],
    &[&[2, 3], &[3]],
    &[&[3], &[2, 3]],
    &[&[2, 3], &[]],
    &[&[], &[2, 3]],
    &[&[2, 1], &[1, 3]],
    &[&[2, 1, 3], &[4, 1]],
    &[&[1], &[3]],
    &[&[1, 1], &[2]],
    &[&[0], &[1]],
    &[&[2, 0], &[0]],
];

formulas! {
    UNARY {
        ANY => |x| -x[0].clone();
        ANY => |x| x[0].recip();
        ANY => |x| x[0].abs();
        ANY => |x| x[0].exp();
        ANY => |x| x[0].expm1();
        ANY => |x| x[0].abs().log();
        ANY => |x| x[0].abs().log1p();
        ANY => |x| x[0].abs().sqrt();
        ANY => |x| x[0].sin();
        ANY => |x| x[0].cos();
        ANY => |x| x[0].tan();
        ANY => |x| x[0].tanh();
        ANY => |x| x[0].sigmoid();
        ANY => |x| x[0].softplus();
        ANY => |x| x[0].relu();
        ANY => |x| x[0].erf();
        ANY => |x| x[0].gelu();
        ANY => |x| x[0].erfc();
        ANY => |x| x[0].exp2();
        ANY => |x| x[0].cbrt();
        ANY => |x| x[0].sinh();
        ANY => |x| x[0].cosh();
        ANY => |x| x[0].atan();
        ANY => |x| x[0].asinh();
        ANY => |x| x[0].i0();
        ANY => |x| x[0].i1();
        ANY => |x| x[0].sinc();
        ANY => |x| x[0].abs().log2();
        ANY => |x| x[0].abs().log10();
        ANY => |x| x[0].abs().lgamma();
        ANY => |x| x[0].abs().digamma();
        ANY => |x| (x[0].clone() * 0.6).asin();
        ANY => |x| (x[0].clone() * 0.6).acos();
        ANY => |x| (x[0].clone() * 0.6).atanh();
        ANY => |x| (x[0].abs() + 1.1).acosh();
        ANY => |x| x[0].abs().polygamma(2);
        ANY => |x| (x[0].floor() + x[0].ceil() * 2.0 + x[0].round() * 3.0 + x[0].trunc() * 4.0) * &x[0];
        ANY => |x| T::from_int(&(x[0].clone() * 4.0).to_int()) * &x[0];
        ANY => |x| x[0].powi(3) + x[0].powi(-2) + x[0].powi(1) + x[0].powi(0);
        ANY => |x| x[0].clamp(-0.6, 0.7).square();
        ANY => |x| x[0].sign() * &x[0];
    }
    BINARY {
        PAIRS => |x| x[0].clone() + &x[1];
        PAIRS => |x| x[0].clone() - &x[1];
        PAIRS => |x| x[0].clone() * &x[1];
        PAIRS => |x| x[0].clone() / &x[1];
        PAIRS => |x| x[0].abs().pow(&x[1]);
        PAIRS => |x| x[0].strong_mul(&x[1]);
        PAIRS => |x| x[0].atan2(&x[1]);
        PAIRS => |x| x[0].hypot(&x[1]);
        PAIRS => |x| x[0].logaddexp(&x[1]);
        PAIRS => |x| x[0].xlogy(&x[1].abs());
        PAIRS => |x| (x[0].clone() * 0.2 + 4.0).fmod(&(x[1].clone() * 0.1 + 1.7)).square();
        PAIRS => |x| (x[0].clone() * 0.2 - 4.0).remainder(&(x[1].clone() * 0.1 + 1.7)).square();
        PAIRS => |x| x[0].maximum(&x[1]).square();
        PAIRS => |x| x[0].minimum(&x[1]).square();
        PAIRS => |x| T::select(&x[0].less(&x[1]), &x[0].square(), &x[1].sin());
        PAIRS => |x| T::select(&x[0].greater_equal(&T::constant(0.0)), &x[1].exp(), &x[0]);
        PAIRS => |x| (x[0].clone() * 2.0 - 1.0) / 3.0 + x[1].clone() * 0.5;
    }
    REDUCTIONS {
        ANY => |x| x[0].square().sum(..);
        ANY => |x| x[0].square().sum([0isize; 0]);
        &[&[&[2, 3, 4]], &[&[2, 0, 4]], &[&[1, 1, 1]]] => |x| x[0].sin().sum(0) + x[0].sin().sum([-3]);
        &[&[&[2, 3, 4]]] => |x| x[0].square().sum([0, 2]);
        &[&[&[2, 3, 4]]] => |x| x[0].square().sum(1).sin();
        &[&[&[2, 3, 4]]] => |x| x[0].mean([1, -1]).square();
        &[&[&[2, 3, 4]]] => |x| x[0].var(1);
        &[&[&[2, 3, 4]]] => |x| x[0].max(1).square();
        &[&[&[2, 3, 4]]] => |x| x[0].max(..).square();
        &[&[&[2, 3, 4]]] => |x| x[0].min([0, 1]).square();
        &[&[&[2, 3, 4]]] => |x| x[0].logsumexp([0, 2]);
        &[&[&[2, 3, 4], &[2, 3]]] => |x| x[0].softmax(-1).max(2) * &x[1];
        &[&[&[2, 3, 4]]] => |x| x[0].log_softmax(1);
        &[&[&[2, 3]]] => |x| x[0].cross_entropy(&int::<T>(&[2], &[2, 0]));
    }
    PRODUCTS {
        &[
            &[&[3], &[3]], &[&[2, 3], &[3]], &[&[3], &[3, 2]], &[&[2, 3], &[3, 4]],
            &[&[1, 3], &[3, 1]], &[&[2, 0], &[0, 3]], &[&[5, 2, 3], &[5, 3, 4]], &[&[5, 2, 3], &[3, 4]],
            &[&[2, 3], &[5, 3, 4]], &[&[1, 2, 3], &[5, 3, 4]], &[&[2, 1, 2, 3], &[4, 3, 2]], &[&[5, 2, 3], &[3]],
            &[&[3], &[5, 3, 2]], &[&[0, 2, 3], &[3, 4]],
        ] => |x| x[0].matmul(&x[1]);
        &[&[&[2, 3], &[4, 3]]] => |x| x[0].matmul(&x[1].transpose()).tanh();
        &[&[&[3, 2], &[3, 4]]] => |x| x[0].transpose().matmul(&x[1]).tanh();
        &[&[&[3, 2], &[4, 3]]] => |x| x[0].transpose().matmul(&x[1].transpose());
        &[&[&[2, 2]]] => |x| x[0].matmul(&x[0]).matmul(&x[0]);
    }
    SHAPES {
        &[&[&[2, 6]]] => |x| x[0].reshape(&[3, 4]).square();
        &[&[&[2, 3]]] => |x| x[0].transpose().reshape(&[6]).square();
        &[&[&[2, 3, 4]]] => |x| x[0].permute(&[2, 0, 1]).square();
        &[&[&[3]], &[&[1, 3]], &[&[2, 1]], &[&[]]] => |x| x[0].broadcast_to(&[4, 2, 3]).square();
        &[&[&[2, 3], &[2, 1], &[2, 0]]] => |x| T::concat(x, 1).square();
        &[&[&[2, 3], &[2, 3]]] => |x| T::concat(&[x[0].clone(), x[1].clone(), x[0].clone()], 0).square();
        &[&[&[2, 3], &[2, 3]]] => |x| T::stack(x, 1).square();
        &[&[&[2, 3], &[2, 3]]] => |x| T::stack(x, -1).square();
        &[&[&[2, 5]]] => |x| {
            let parts = x[0].split(&[2, 0, 3], 1);
            parts[0].sum(..) * parts[2].square() + parts[1].sum(..)
        };
        &[&[&[2, 7]]] => |x| x[0].slice(1, 1..4).square() * x[0].slice(-1, 3..6);
        &[&[&[7]]] => |x| x[0].slice_step(0, 1..7, 3).square();
        &[&[&[7]]] => |x| x[0].slice_step(0, 2..2, 3).square();
        &[&[&[3, 2]], &[&[1, 2]], &[&[0, 2]]] =>
            |x| x[0].square().pad(0, Padding { before: 1, after: 2, interior: 3 });
        &[&[&[3, 2]]] => |x| x[0].flip(0).square() + x[0].flip(-1);
        &[&[&[3, 2]]] => |x| x[0].unsqueeze(1).square() + x[0].index(0, 1);
    }
    INDEXING {
        &[&[&[3, 2]]] => |x| x[0].gather_rows(&int::<T>(&[2, 2], &[0, 2, 2, 0])).square();
        &[&[&[3, 2]]] => |x| x[0].gather_rows(&int::<T>(&[], &[1])).square();
        &[&[&[3, 2]]] => |x| x[0].gather_rows(&int::<T>(&[0], &[])).square();
        &[&[&[4, 2]]] => |x| x[0].scatter_rows(&int::<T>(&[4], &[5, 0, 5, 1]), 6).square();
        &[&[&[3, 2], &[2, 2]]] => |x| x[0].clone().at(&int::<T>(&[2], &[2, 0])).set(&x[1]).square();
        &[&[&[3, 2], &[3, 2]]] => |x| x[0].clone().at(&int::<T>(&[3], &[2, 0, 2])).set(&x[1]).square();
        &[&[&[3, 2], &[3, 2]]] => |x| x[0].clone().at(&int::<T>(&[3], &[2, 0, 2])).add(&x[1]).square();
        &[&[&[3, 2], &[]]] => |x| x[0].clone().at((2, 0..2)).set(&x[1]).square();
        &[&[&[2, 3, 2], &[2, 2]]] => |x| x[0].clone().at((.., &int::<T>(&[2], &[1, 0]), 1)).add(&x[1]).square();
        &[&[&[3, 1], &[0, 1]]] => |x| x[0].clone().at(&int::<T>(&[0], &[])).set(&x[1]).square();
        &[&[&[2, 3]]] => |x| x[0].gather_last(&int::<T>(&[2], &[2, 0])).square();
        &[&[&[2, 3]]] => |x| x[0].scatter_last(&int::<T>(&[2, 3], &[3, 0, 1, 2, 2, 0]), 4).square();
    }
    IMAGES {
        &[&[&[2, 3, 5, 4], &[2, 3, 3, 2]], &[&[1, 3, 3, 2], &[1, 3, 3, 2]], &[&[0, 3, 5, 4], &[2, 3, 3, 2]]] =>
            |x| x[0].conv2d(&x[1], Window2d::default());
        &[&[&[2, 2, 5, 6], &[3, 2, 2, 3]]] =>
            |x| x[0].conv2d(&x[1], Window2d { stride: [2, 3], padding: [1, 2] }).tanh();
        &[&[&[1, 2, 4, 4]]] => |x| x[0].max_pool2d([2, 2], Window2d { stride: [2, 2], padding: [0, 0] }).square();
        &[&[&[1, 2, 4, 3]]] => |x| x[0].max_pool2d([3, 2], Window2d { stride: [1, 2], padding: [1, 1] }).square();
        &[&[&[1, 2, 4, 4]]] => |x| x[0].avg_pool2d([2, 3], Window2d { stride: [2, 1], padding: [1, 0] }).square();
        &[&[&[1, 2, 4, 4]]] => |x| x[0].unfold2d([2, 3], Window2d { stride: [1, 2], padding: [1, 1] }).square();
        &[&[&[1, 2, 6, 3, 3]]] => |x| x[0].fold2d([4, 5], [2, 3], Window2d::default()).square();
    }
    RANDOM_MASKS {
        &[&[&[3, 4]]] => |x| x[0].square().dropout(0.4, &T::Int::constant(7));
    }
}
