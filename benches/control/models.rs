//! Programs with control flow that depends on data, once for every interpretation. Counts are inputs: one program
//! serves them all.

use antiphon::{Control, Real};

fn constant<T: Real>(value: f64) -> T {
    T::constant(value)
}

/// `x ← sin(x)·a + x·b`, n times, of `[x, a, b, n]`.
pub fn recurrence<T: Control>(inputs: &[T]) -> T {
    let [x, a, b, n] = inputs else { unreachable!("four inputs") };
    let start = (x.clone(), constant::<T>(0.0));
    let step = |(x, i): (T, T)| (x.sin() * a + x * b, i.offset(1.0));
    T::while_loop(start, |(_, i)| i.less(n), step).0
}

/// The square root of `a` by Newton's method from `start` until it is exact to 10⁻¹⁰, of `[a, start]`.
pub fn newton<T: Control>(inputs: &[T]) -> T {
    let [a, start] = inputs else { unreachable!("two inputs") };
    let far = |x: &T| (x.square() - a).abs().greater(&(a.clone().scale(1e-10)));
    T::while_loop(start.clone(), far, |x| (x.clone() + a.clone() / &x).scale(0.5))
}

/// `y ← y·x + x` where `y < 1`, else `y ← y·x`, n times, of `[x, n]`.
pub fn branch<T: Control>(inputs: &[T]) -> T {
    let [x, n] = inputs else { unreachable!("two inputs") };
    let start = (x.clone(), constant::<T>(0.0));
    let step = |(y, i): (T, T)| {
        let small = y.less(&constant(1.0));
        (T::cond(&small, || y.clone() * x + x, || y.clone() * x), i.offset(1.0))
    };
    T::while_loop(start, |(_, i)| i.less(n), step).0
}

/// `t(0) = x`, `t(d) = t(d−1)·t(d−1) + x`, both subtrees computed, of `[x, d]`.
pub fn tree<T: Control>(inputs: &[T]) -> T {
    let [x, depth] = inputs else { unreachable!("two inputs") };
    T::fix(depth.clone(), |node: &dyn Fn(T) -> T, depth: T| {
        let inner = depth.greater(&constant(0.0));
        T::cond(
            &inner,
            || node(depth.clone().offset(-1.0)) * &node(depth.clone().offset(-1.0)) + x,
            || x.clone(),
        )
    })
}
