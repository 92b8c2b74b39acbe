//! Products of many numbers, as determinants are.

use super::kernel::Field;

/// A product that neither overflows nor underflows on its way: `mantissa·2^exponent`.
#[derive(Clone, Copy)]
pub(super) struct Product {
    mantissa: f64,
    exponent: i64,
}

impl Product {
    pub(super) fn of<F: Field>(x: F) -> Product {
        Product { mantissa: 1.0, exponent: 0 }.times(x)
    }
    pub(super) fn times<F: Field>(self, x: F) -> Product {
        let (mantissa, exponent) = libm::frexp(self.mantissa * double(x));
        // The number may be subnormal: its own exponent first.
        if mantissa != 0.0 || x == F::zero() {
            return Product { mantissa, exponent: self.exponent + i64::from(exponent) };
        }
        let (own, shift) = libm::frexp(double(x));
        let (mantissa, exponent) = libm::frexp(self.mantissa * own);
        Product { mantissa, exponent: self.exponent + i64::from(exponent) + i64::from(shift) }
    }
    /// Without a factor, which is not zero.
    pub(super) fn without<F: Field>(self, x: F) -> Product {
        let (own, shift) = libm::frexp(double(x));
        let (mantissa, exponent) = libm::frexp(self.mantissa / own);
        Product { mantissa, exponent: self.exponent + i64::from(exponent) - i64::from(shift) }
    }
    /// The product with one more number, which is no longer one that keeps its exponent beside it.
    pub(super) fn by<F: Field>(self, x: F) -> F {
        let Product { mantissa, exponent } = self.times(x);
        let exponent = exponent.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
        F::nearest(libm::ldexp(mantissa, exponent))
    }
}

fn double<F: Field>(x: F) -> f64 {
    x.to_f64().expect("a number")
}
