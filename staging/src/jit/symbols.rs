//! The functions of reals that compiled code calls by name: the very ones that the interpreter uses.

use std::ffi::c_void;

macro_rules! functions {
    ($($path:expr, $single:ident $E:ty;)*) => {
        $(
            extern "C" fn $single(x: $E) -> $E {
                $path(x)
            }
        )*
        /// Names and addresses of the functions of one real.
        fn unary() -> Vec<(&'static str, *const c_void)> {
            vec![$((concat!("antiphon_", stringify!($single)), $single as *const c_void),)*]
        }
    };
}

functions! {
    f32::exp, exp_32 f32;
    f32::exp_m1, expm1_32 f32;
    f32::ln, log_32 f32;
    f32::ln_1p, log1p_32 f32;
    f32::sin, sin_32 f32;
    f32::cos, cos_32 f32;
    f32::tan, tan_32 f32;
    f32::tanh, tanh_32 f32;
    libm::erff, erf_32 f32;
    f64::exp, exp_64 f64;
    f64::exp_m1, expm1_64 f64;
    f64::ln, log_64 f64;
    f64::ln_1p, log1p_64 f64;
    f64::sin, sin_64 f64;
    f64::cos, cos_64 f64;
    f64::tan, tan_64 f64;
    f64::tanh, tanh_64 f64;
    libm::erf, erf_64 f64;
}

extern "C" fn pow_32(x: f32, y: f32) -> f32 {
    x.powf(y)
}
extern "C" fn pow_64(x: f64, y: f64) -> f64 {
    x.powf(y)
}

/// Names and addresses of all of them.
pub fn all() -> Vec<(&'static str, *const c_void)> {
    let mut all = unary();
    all.push(("antiphon_pow_32", pow_32 as *const c_void));
    all.push(("antiphon_pow_64", pow_64 as *const c_void));
    all
}
