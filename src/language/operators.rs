//! Operators that follow from others: with references on the left, with plain numbers on the left, and in place.

/// `&a + b`, `&a + &b` and `&a + 2.0`, from those by value.
macro_rules! operators_on_references {
    ([$($generics:tt)*] $Type:ty) => {
        $crate::language::operators::for_each_operator!(
            operators_on_references, [$($generics)*] $Type
        );
    };
    (@ $Op:ident $op:ident $OpAssign:ident $op_assign:ident [$($generics:tt)*] $Type:ty) => {
        impl<$($generics)*> std::ops::$Op<$Type> for &$Type {
            type Output = $Type;
            #[inline]
            #[track_caller]
            fn $op(self, rhs: $Type) -> $Type {
                std::ops::$Op::$op(self.clone(), rhs)
            }
        }
        impl<$($generics)*> std::ops::$Op<&$Type> for &$Type {
            type Output = $Type;
            #[inline]
            #[track_caller]
            fn $op(self, rhs: &$Type) -> $Type {
                std::ops::$Op::$op(self.clone(), rhs)
            }
        }
        impl<$($generics)*> std::ops::$Op<f64> for &$Type {
            type Output = $Type;
            #[inline]
            #[track_caller]
            fn $op(self, rhs: f64) -> $Type {
                std::ops::$Op::$op(self.clone(), rhs)
            }
        }
    };
}
pub(crate) use operators_on_references;

/// `2.0 * a` and `2.0 * &a`.
macro_rules! operators_on_numbers {
    ([$($generics:tt)*] $Type:ty) => {
        $crate::language::operators::for_each_operator!(operators_on_numbers, [$($generics)*] $Type);
    };
    (@ $Op:ident $op:ident $OpAssign:ident $op_assign:ident [$($generics:tt)*] $Type:ty) => {
        impl<$($generics)*> std::ops::$Op<$Type> for f64 {
            type Output = $Type;
            #[inline]
            #[track_caller]
            fn $op(self, rhs: $Type) -> $Type {
                std::ops::$Op::$op(<$Type as $crate::Real>::constant(self), rhs)
            }
        }
        impl<$($generics)*> std::ops::$Op<&$Type> for f64 {
            type Output = $Type;
            #[inline]
            #[track_caller]
            fn $op(self, rhs: &$Type) -> $Type {
                std::ops::$Op::$op(<$Type as $crate::Real>::constant(self), rhs)
            }
        }
    };
}
pub(crate) use operators_on_numbers;

/// `a += b`, `a += &b`, `a += 2.0` and the like for an interpretation of yours, which needs them to be
/// [`Real`](crate::Real) and [`Number`](crate::Number): from `a + b`, `a + &b` and `a + 2.0`.
///
/// The generic parameters stand in brackets: `operators_in_place!([T: Real] Logged<T>)`.
#[macro_export]
macro_rules! operators_in_place {
    ([$($generics:tt)*] $Type:ty) => {
        $crate::operators_in_place!(@ Add add AddAssign add_assign [$($generics)*] $Type);
        $crate::operators_in_place!(@ Sub sub SubAssign sub_assign [$($generics)*] $Type);
        $crate::operators_in_place!(@ Mul mul MulAssign mul_assign [$($generics)*] $Type);
        $crate::operators_in_place!(@ Div div DivAssign div_assign [$($generics)*] $Type);
    };
    (@ $Op:ident $op:ident $OpAssign:ident $op_assign:ident [$($generics:tt)*] $Type:ty) => {
        impl<$($generics)*> std::ops::$OpAssign for $Type {
            #[inline]
            #[track_caller]
            fn $op_assign(&mut self, rhs: $Type) {
                *self = std::ops::$Op::$op(self.clone(), rhs);
            }
        }
        impl<$($generics)*> std::ops::$OpAssign<&$Type> for $Type {
            #[inline]
            #[track_caller]
            fn $op_assign(&mut self, rhs: &$Type) {
                *self = std::ops::$Op::$op(self.clone(), rhs);
            }
        }
        impl<$($generics)*> std::ops::$OpAssign<f64> for $Type {
            #[inline]
            #[track_caller]
            fn $op_assign(&mut self, rhs: f64) {
                *self = std::ops::$Op::$op(self.clone(), rhs);
            }
        }
    };
}

/// Values as constants in the operators of an interpretation over them, `$lift` making one of a reference: `a * x`
/// and `x * a` for the types of values that are given.
macro_rules! operators_that_lift {
    ([$($generics:tt)*] $Type:ty, $lift:expr, $Value:ty) => {
        $crate::language::operators::for_each_operator!(
            operators_that_lift, [$($generics)*] $Type, $lift, $Value
        );
    };
    (@ $Op:ident $op:ident $OpAssign:ident $op_assign:ident [$($generics:tt)*] $Type:ty, $lift:expr, $Value:ty) => {
        impl<$($generics)*> std::ops::$Op<$Value> for $Type {
            type Output = $Type;
            #[inline]
            #[track_caller]
            fn $op(self, rhs: $Value) -> $Type {
                std::ops::$Op::$op(self, $lift(&rhs))
            }
        }
        impl<$($generics)*> std::ops::$Op<$Type> for $Value {
            type Output = $Type;
            #[inline]
            #[track_caller]
            fn $op(self, rhs: $Type) -> $Type {
                std::ops::$Op::$op($lift(&self), rhs)
            }
        }
        impl<$($generics)*> std::ops::$Op<$Type> for &$Value {
            type Output = $Type;
            #[inline]
            #[track_caller]
            fn $op(self, rhs: $Type) -> $Type {
                std::ops::$Op::$op($lift(self), rhs)
            }
        }
    };
}
pub(crate) use operators_that_lift;

/// Values by reference, whatever they are: `x * &a`.
macro_rules! operators_that_lift_references {
    ([$($generics:tt)*] $Type:ty, $lift:expr, $Value:ty) => {
        $crate::language::operators::for_each_operator!(
            operators_that_lift_references, [$($generics)*] $Type, $lift, $Value
        );
    };
    (@ $Op:ident $op:ident $OpAssign:ident $op_assign:ident [$($generics:tt)*] $Type:ty, $lift:expr, $Value:ty) => {
        impl<$($generics)*> std::ops::$Op<&$Value> for $Type {
            type Output = $Type;
            #[inline]
            #[track_caller]
            fn $op(self, rhs: &$Value) -> $Type {
                std::ops::$Op::$op(self, $lift(rhs))
            }
        }
    };
}
pub(crate) use operators_that_lift_references;

macro_rules! for_each_operator {
    ($macro:ident, $($rest:tt)*) => {
        $macro!(@ Add add AddAssign add_assign $($rest)*);
        $macro!(@ Sub sub SubAssign sub_assign $($rest)*);
        $macro!(@ Mul mul MulAssign mul_assign $($rest)*);
        $macro!(@ Div div DivAssign div_assign $($rest)*);
    };
}
pub(crate) use for_each_operator;
