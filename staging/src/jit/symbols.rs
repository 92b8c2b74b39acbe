//! The functions of reals that compiled code calls by name: the very ones that the interpreter uses.

use std::ffi::c_void;

use antiphon_elementary::numbers;
use antiphon_system::threads;

use crate::jit::denormals;
use crate::lower::asm::parallel;

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
    numbers::f32::erfc, erfc_32 f32;
    numbers::f32::exp2, exp2_32 f32;
    numbers::f32::log2, log2_32 f32;
    numbers::f32::log10, log10_32 f32;
    numbers::f32::cbrt, cbrt_32 f32;
    numbers::f32::sinh, sinh_32 f32;
    numbers::f32::cosh, cosh_32 f32;
    numbers::f32::asin, asin_32 f32;
    numbers::f32::acos, acos_32 f32;
    numbers::f32::atan, atan_32 f32;
    numbers::f32::asinh, asinh_32 f32;
    numbers::f32::acosh, acosh_32 f32;
    numbers::f32::atanh, atanh_32 f32;
    numbers::f32::lgamma, lgamma_32 f32;
    numbers::f32::i0, i0_32 f32;
    numbers::f32::i1, i1_32 f32;
    f64::exp, exp_64 f64;
    f64::exp_m1, expm1_64 f64;
    f64::ln, log_64 f64;
    f64::ln_1p, log1p_64 f64;
    f64::sin, sin_64 f64;
    f64::cos, cos_64 f64;
    f64::tan, tan_64 f64;
    f64::tanh, tanh_64 f64;
    libm::erf, erf_64 f64;
    numbers::f64::erfc, erfc_64 f64;
    numbers::f64::exp2, exp2_64 f64;
    numbers::f64::log2, log2_64 f64;
    numbers::f64::log10, log10_64 f64;
    numbers::f64::cbrt, cbrt_64 f64;
    numbers::f64::sinh, sinh_64 f64;
    numbers::f64::cosh, cosh_64 f64;
    numbers::f64::asin, asin_64 f64;
    numbers::f64::acos, acos_64 f64;
    numbers::f64::atan, atan_64 f64;
    numbers::f64::asinh, asinh_64 f64;
    numbers::f64::acosh, acosh_64 f64;
    numbers::f64::atanh, atanh_64 f64;
    numbers::f64::lgamma, lgamma_64 f64;
    numbers::f64::i0, i0_64 f64;
    numbers::f64::i1, i1_64 f64;
}

macro_rules! binary_functions {
    ($($path:expr, $single:ident $E:ty;)*) => {
        $(
            extern "C" fn $single(x: $E, y: $E) -> $E {
                $path(x, y)
            }
        )*
        /// Names and addresses of the functions of two.
        fn binary() -> Vec<(&'static str, *const c_void)> {
            vec![$((concat!("antiphon_", stringify!($single)), $single as *const c_void),)*]
        }
    };
}

binary_functions! {
    f32::powf, pow_32 f32;
    numbers::f32::atan2, atan2_32 f32;
    numbers::f32::hypot, hypot_32 f32;
    numbers::f32::fmod, fmod_32 f32;
    f64::powf, pow_64 f64;
    numbers::f64::atan2, atan2_64 f64;
    numbers::f64::hypot, hypot_64 f64;
    numbers::f64::fmod, fmod_64 f64;
}

/// Calls a task of compiled code for each part, on all threads, in the mode of the processor that this one is in.
///
/// # Safety
/// The task is compiled code that takes this frame and the number of a part, reads nothing that another part writes,
/// and does not unwind; frame and code are there until this returns.
unsafe extern "C" fn run_parts(task: unsafe extern "C" fn(*const u8, i64), frame: *const u8, parts: i64) {
    /// What all threads read.
    struct Frame(*const u8);
    // SAFETY: the caller sees to it that parts can run at the same time.
    unsafe impl Sync for Frame {}
    impl Frame {
        fn address(&self) -> *const u8 {
            self.0
        }
    }
    let (frame, mode) = (Frame(frame), denormals::mode());
    threads::run(parts as usize, &|part| {
        let _mode = denormals::like(mode);
        // SAFETY: as the caller says; each part is called once, before `threads::run` returns.
        unsafe { task(frame.address(), part as i64) }
    });
}

/// Names and addresses of all of them.
pub fn all() -> Vec<(&'static str, *const c_void)> {
    let parallel = (parallel::SYMBOL, run_parts as *const c_void);
    unary().into_iter().chain(binary()).chain([parallel]).collect()
}
