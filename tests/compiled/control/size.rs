//! Code is as long as its source: join points and continuations are recorded once, however they nest.

use antiphon::recording::{OptimiseOptions, Recorded, optimise, record};
use antiphon::{Control, OrRaise, Real, grad, hvp};
use antiphon_staging::Program;
use antiphon_staging::jit::{CompileOptions, llvm_ir};

use super::{Array, Model, agree, constant};

/// `n` branches, one inside of the other.
fn nested<T: Control>(n: usize, x: &T) -> T {
    if n == 0 {
        return x.sin();
    }
    let deeper = x.greater(&constant(n as f64));
    T::cond(&deeper, || x.square() * &nested(n - 1, x), || nested(n - 1, &x.scale_by(n)) + x)
}

/// One branch after the other.
fn successive<T: Control>(n: usize, x: &T) -> T {
    (0..n).fold(x.clone(), |y, _| {
        T::cond(&y.greater(&constant(1.0)), || y.clone().scale(0.4), || y.clone() * &y + x)
    })
}

trait ScaleBy: Real {
    fn scale_by(&self, n: usize) -> Self {
        self.clone().scale(1.0 / n as f64)
    }
}
impl<T: Real> ScaleBy for T {}

/// One branch inside of the other, on one side only: as a chain of `else if`.
fn chain<T: Control>(n: usize, x: &T) -> T {
    if n == 0 {
        return x.sin();
    }
    let here = x.greater(&constant(n as f64));
    T::cond(&here, || x.clone().scale(n as f64).exp(), || chain(n - 1, x) * x)
}

/// A loop in the body of a loop, and so on.
fn loops<T: Control>(n: usize, x: &T) -> T {
    if n == 0 {
        return x.sin();
    }
    let body = |y: T| loops(n - 1, &(y * x)).offset(0.5);
    T::while_loop(x.clone(), |y| y.less(&constant(0.5)), body)
}

/// A recursive function with two calls in its body, applied to the result of another.
fn calls<T: Control>(n: usize, x: &T) -> T {
    (0..n).fold(x.clone(), |y, _| {
        T::fix(y, |f, y: T| {
            let small = y.less(&constant(0.3));
            T::cond(&small, || y.clone() * x, || f(y.clone().scale(0.5)) + f(y.clone().scale(0.3)) * x)
        })
    })
}

/// `n` branches, one inside of the other, inside of a loop.
fn branches_in_a_loop<T: Control>(n: usize, x: &T) -> T {
    let small = |y: &T| y.less(&constant(50.0));
    T::while_loop(x.clone(), small, |y: T| chain(n, &y) + x.square().offset(1.0))
}

/// A kind of program, by how deep it is or how often something is in it.
type Kind<'a> = (&'a str, &'a dyn Fn(usize, Recorded) -> Recorded);

#[test]
fn code_is_linear_in_the_source() {
    let kinds: [Kind<'_>; 12] = [
        ("chain", &|n, x| grad(|x| chain(n, &x), &x).or_raise()),
        ("chain, plain", &|n, x| chain(n, &x)),
        ("chain, forward over reverse", &|n, x| hvp(|x| chain(n, &x), &x, &x).or_raise().1),
        ("successive", &|n, x| grad(|x| successive(n, &x), &x).or_raise()),
        ("loops", &|n, x| grad(|x| loops(n, &x), &x).or_raise()),
        ("branches in a loop", &|n, x| grad(|x| branches_in_a_loop(n, &x), &x).or_raise()),
        ("doubly recursive", &|n, x| grad(|x| calls(n, &x), &x).or_raise()),
        ("doubly recursive, plain", &|n, x| calls(n, &x)),
        ("chain, twice in reverse", &|n, x| grad(|x| grad(|x| chain(n, &x), &x).or_raise(), &x).or_raise()),
        ("successive, twice in reverse", &|n, x| {
            grad(|x| grad(|x| successive(n, &x), &x).or_raise(), &x).or_raise()
        }),
        ("loops, twice in reverse", &|n, x| grad(|x| grad(|x| loops(n, &x), &x).or_raise(), &x).or_raise()),
        ("doubly recursive, twice in reverse", &|n, x| {
            grad(|x| grad(|x| calls(n, &x), &x).or_raise(), &x).or_raise()
        }),
    ];
    for (kind, f) in kinds {
        let recorded = |n| record("f", |x| f(n, x), &Array::scalar(0.0)).unwrap();
        let optimised = |n| {
            let mut program: Program = recorded(n);
            optimise(&mut program, &OptimiseOptions::default());
            program
        };
        let lines = |n| llvm_ir(&optimised(n), &CompileOptions::default()).unwrap().lines().count();
        // What is long is compiled in parts, which adds a constant.
        let (most, parts) = if kind.contains("twice") { (10, 2000) } else { (1, 0) };
        linear(&format!("{kind}: recorded statements"), 60 * most, 0, &|n| recorded(n).len());
        linear(&format!("{kind}: optimised statements"), 60 * most, 0, &|n| optimised(n).len());
        linear(&format!("{kind}: lines of LLVM's language"), 400 * most, parts, &lines);
    }
}

/// That each level adds as much, no more than `most`, but for a constant.
fn linear(what: &str, most: usize, constant: usize, size: &dyn Fn(usize) -> usize) {
    let [five, ten, twenty] = [5, 10, 20].map(size);
    assert!(twenty - ten <= 10 * most, "{what}: {ten} ten deep, {twenty} twenty deep");
    let (first, then) = (ten - five, twenty - ten);
    assert!(10 * then <= 23 * first + 10 * constant, "{what}: 5 levels add {first}, 10 levels add {then}");
}

#[test]
fn deeply_nested_control_flow_agrees() {
    struct Chain;
    impl Model for Chain {
        fn call<T: Control>(x: &[T]) -> T {
            chain(20, &x[0])
        }
    }
    agree::<Chain>(&[&[0.5], &[3.5], &[1.5]]);
    struct Successive;
    impl Model for Successive {
        fn call<T: Control>(x: &[T]) -> T {
            successive(20, &x[0])
        }
    }
    agree::<Successive>(&[&[0.5], &[0.9], &[2.0]]);
    struct Nested;
    impl Model for Nested {
        fn call<T: Control>(x: &[T]) -> T {
            nested(4, &x[0])
        }
    }
    agree::<Nested>(&[&[0.5], &[1.5], &[2.5], &[9.0]]);
    struct Loops;
    impl Model for Loops {
        fn call<T: Control>(x: &[T]) -> T {
            loops(3, &x[0])
        }
    }
    agree::<Loops>(&[&[0.1], &[0.3], &[0.7]]);
    struct Calls;
    impl Model for Calls {
        fn call<T: Control>(x: &[T]) -> T {
            calls(3, &x[0])
        }
    }
    agree::<Calls>(&[&[0.1], &[0.9], &[2.7]]);
}
