//! Functions of scalars: arithmetic, branches, loops, calls, lists, dictionaries, and what overwrites its variables.

use std::collections::BTreeMap;

use antiphon::state::Index;
use antiphon::{Int, Tensor};

use crate::function::{functions, grid, grid_with_rounds};

fn c<T: Tensor>(value: f64) -> T {
    T::constant(value)
}

fn add<T: Tensor>(a: T, b: T) -> T {
    a + b
}

fn mul<T: Tensor>(a: T, b: T) -> T {
    a * b
}

fn mul_with_call<T: Tensor>(a: T, b: T) -> T {
    mul(a, b)
}

/// The step done so many times, which is the whole part of a number: a loop whose number of rounds is data.
fn repeat<T: Tensor>(n: &T, x: T, step: impl Fn(T) -> T) -> T {
    let end = n.to_int();
    let zero = T::Int::constant(0);
    let more = |(i, _): &(Index<T>, T)| i.0.less(&end);
    T::while_loop((Index(zero), x), more, |(i, x)| (Index(i.0 + T::Int::constant(1)), step(x))).1
}

/// The same of plain numbers.
fn repeated(n: f64, x: f64, step: impl Fn(f64) -> f64) -> f64 {
    (0..n as usize).fold(x, |x, _| step(x))
}

fn if_positive<T: Tensor>(a: &T, then: impl FnOnce() -> T, otherwise: impl FnOnce() -> T) -> T {
    T::cond(&a.greater(&c(0.0)), then, otherwise)
}

functions! {
    numbers:
    id_(a) at grid(1) => { f: a, is: a, }
    unary_sub(a) at grid(1) => { f: -a, is: -a, }
    tanh(a) at grid(1) => { f: a.tanh(), is: a.tanh(), }
    i_assign(a) at grid(1) => { f: { let b = a.clone(); drop(a); b }, is: a, }
    increment(a) at grid(1) => { f: a + 1.0, is: a + 1.0, }
    saxpy(a, b, c) at grid(3) => { f: a * b + c, is: a * b + c, }
    mul(a, b) at grid(2) => { f: a * b, is: a * b, }
    add(a, b) at grid(2) => { f: a + b, is: a + b, }
    saxpy_call(a, b, c) at grid(3) => { f: super::add(super::mul(a, b), c), is: a * b + c, }
    saxpy_anf(a, b, c) at grid(3) => { f: { let t1 = a * b; t1 + c }, is: a * b + c, }
    saxpy_overwrite(a, b, c) at grid(3) => { f: { let mut t = a * b; t += c; t }, is: a * b + c, }
    gradname_aliasing(a) at grid(1) => { f: { let da = a.clone() * a; da.clone() }, is: a * a, }
    overwrite_if(a) at grid(1) => {
        f: { a = if_positive(&a, || a.clone() * 3.0, || a.clone() * 2.0); a },
        is: if a > 0.0 { a * 3.0 } else { a * 2.0 },
    }
    test_binop_mul1(a) at grid(1) => { f: a * 3.0, is: a * 3.0, }
    test_binop_mul2(a) at grid(1) => { f: c::<T>(3.0) * a, is: 3.0 * a, }
    test_binop_mul3(a) at grid(1) => { f: a.clone() * a, is: a * a, }
    test_binop_div1(a) at grid(1) => { f: a / 3.0, is: a / 3.0, }
    test_binop_div2(a) at grid(1) => { f: c::<T>(3.0) / a, is: 3.0 / a, }
    test_binop_div3(a) at grid(1) => { f: a.clone() / a, is: 1.0, }
    test_binop_sub1(a) at grid(1) => { f: a - 3.0, is: a - 3.0, }
    test_binop_sub2(a) at grid(1) => { f: c::<T>(3.0) - a, is: 3.0 - a, }
    test_binop_sub3(a) at grid(1) => { f: a.clone() - a, is: 0.0, }
    test_binop_add1(a) at grid(1) => { f: a + 3.0, is: a + 3.0, }
    test_binop_add2(a) at grid(1) => { f: c::<T>(3.0) + a, is: 3.0 + a, }
    test_binop_add3(a) at grid(1) => { f: a.clone() + a, is: a + a, }
    nested_if(a) at grid(1) => {
        f: if_positive(
            &a,
            || T::cond(&a.less(&c(10.0)), || a.clone() * &a, || a.clone()),
            || a.clone() * 3.0,
        ),
        is: if a > 0.0 { a * a } else { 3.0 * a },
    }
    multiarg_if(a) at grid(1) => {
        f: {
            let b = if_positive(&(a.clone() * &a / 3.0), || c(3.0), || c(4.0));
            a *= &b;
            let less = a.less(&(b.clone() - a.clone() * &b));
            let greater = a.greater(&(b.clone() + a.clone() * 3.0));
            T::cond(
                &less,
                || a.clone() * &a,
                || {
                    T::cond(
                        &greater,
                        || T::cond(&(a.clone() / 2.0).less(&c(0.0)), || a.clone() / &b, || a.clone() * &b),
                        || -a.clone(),
                    )
                },
            )
        },
        is: {
            let b = if a * a / 3.0 > 0.0 { 3.0 } else { 4.0 };
            let a = a * b;
            if a < b - a * b {
                a * a
            } else if a > b + 3.0 * a {
                if a / 2.0 < 0.0 { a / b } else { a * b }
            } else {
                -a
            }
        },
    }
    fn_multiply(a) at grid(1) => { f: a * 3.0, is: a * 3.0, }
    fn_multiple_return(a) at grid(1) => { f: T::stack(&[a.clone() * 2.0, a], 0), is: [2.0 * a, a], }
    test_anf_list(a) at grid(1) => {
        f: { let b = [c(1.0), a.clone() * a, c(2.0)]; T::stack(&b, 0).sum(..) },
        is: 1.0 + a * a + 2.0,
    }
    test_list_and_subscript(a) at grid(1) => {
        f: { let x = [c(1.0), a, c(3.0)]; x[0].clone() * &x[1] },
        is: a,
    }
    serial_if(a) at grid(1) => {
        f: {
            a = if_positive(&a, || a.clone() * &a, || a.clone());
            a = a.clone() + a;
            T::cond(&a.less(&c(0.0)), || a.clone() * 3.0, || a.clone())
        },
        is: {
            let a = if a > 0.0 { a * a } else { a };
            let a = a + a;
            if a < 0.0 { 3.0 * a } else { a }
        },
    }
    multivar_if(a, b) at grid(2) => {
        f: T::cond(&a.greater(&b), || a.clone() * &a, || a.clone() * &b),
        is: if a > b { a * a } else { a * b },
        smooth: a != b,
    }
    serial_for(a, n) at grid_with_rounds(2) => {
        f: {
            a = repeat(&n, a, |a| a.clone() * a);
            a *= 2.0;
            repeat(&(n + 1.0), a, |a| a * 3.0)
        },
        is: repeated(n + 1.0, 2.0 * repeated(n, a, |a| a * a), |a| a * 3.0),
    }
    serial_ifthenfor(a, n) at grid_with_rounds(2) => {
        f: {
            a = if_positive(&a, || a.clone() * &a, || a.clone());
            repeat(&n, a * 2.0, |a| a.clone() * a)
        },
        is: repeated(n, 2.0 * if a > 0.0 { a * a } else { a }, |a| a * a),
    }
    serial_forthenif(a, n) at grid_with_rounds(2) => {
        f: {
            a = repeat(&n, a, |a| a.clone() * a) * 2.0;
            if_positive(&a, || a.clone() * &a, || a.clone())
        },
        is: {
            let a = 2.0 * repeated(n, a, |a| a * a);
            if a > 0.0 { a * a } else { a }
        },
    }
    devilish_nested_if(a) at grid(1) => {
        f: if_positive(
            &a,
            || {
                let a = a.clone() * 3.0;
                T::cond(&a.less(&c(10.0)), || a.clone() * &a, || a.clone() * 2.0)
            },
            || a.clone(),
        ),
        is: if a > 0.0 { 9.0 * a * a } else { a },
    }
    overwrite_ifelse(a) at grid(1) => {
        f: if_positive(
            &a,
            || a.clone() * 3.0,
            || T::cond(&c::<T>(0.0).greater(&a), || a.clone() * 2.0, || a.clone()),
        ),
        is: if a > 0.0 { a * 3.0 } else { a * 2.0 },
    }
    overwrite_arg(a) at grid(1) => { f: { a *= 3.0; a }, is: a * 3.0, }
    overwrite_non_arg(a) at grid(1) => { f: { let mut b = a; b *= 3.0; b }, is: a * 3.0, }
    third_pow(a) at grid(1) => { f: a.clone() * &a * a, is: a * a * a, }
    direct_third_pow(a) at grid(1) => { f: a.powi(3), is: a * a * a, }
    iter_third_pow1(a) at grid(1) => { f: (0..3).fold(c(1.0), |out: T, _| out * &a), is: a * a * a, }
    iter_third_pow2(a) at grid(1) => { f: (0..3 - 1).fold(a.clone(), |out, _| out * &a), is: a * a * a, }
    iterpower_static(a) at grid(1) => { f: (0..3).fold(a, |a, _| a.clone() * a), is: a.powi(8), }
    iterpower(a, n) at grid_with_rounds(2) => {
        f: repeat(&n, a, |a| a.clone() * a),
        is: repeated(n, a, |a| a * a),
    }
    cond_iterpower1(a) at grid(1) => {
        f: (0..3).fold(a, |a, _| T::cond(&a.less(&c(20.0)), || a.clone() * &a, || a.clone())),
        is: repeated(3.0, a, |a| if a < 20.0 { a * a } else { a }),
    }
    cond_iterpower2(a) at grid(1) => {
        f: T::cond(&a.less(&c(20.0)), || (0..3).fold(a.clone(), |a, _| a.clone() * a), || a.clone()),
        is: a.powi(8),
    }
    superfor_iterpower(a) at grid(1) => {
        f: {
            let n = c::<T>(3.5);
            (0..2).fold(a, |a, _| repeat(&n, a, |a| a.clone() * a))
        },
        is: a.powi(64),
    }
    super_iterpower(a) at grid(1) => { f: (0..3).fold(a, |a, _| a.clone() * &a * &a), is: a.powi(27), }
    numpy_exp(a) at grid(1) => { f: a.exp(), is: a.exp(), }
    numpy_exp2(a) at grid(1) => { f: a.exp().exp(), is: a.exp().exp(), }
    numpy_sqrt(a) at grid(1) => { f: a.sqrt(), is: a.sqrt(), }
    inner_fn(a, b) at grid(2) => { f: super::mul(a, b), is: a * b, }
    mul_with_call(a, b) at grid(2) => { f: super::mul_with_call(a, b), is: a * b, }
    if_mul_with_call(a, b) at grid(2) => {
        f: T::cond(&a.greater(&b), || super::mul(a.clone(), b.clone()), || super::mul(b.clone(), a.clone())),
        is: a * b,
    }
    iterpower_with_call(a, n) at grid_with_rounds(2) => {
        f: repeat(&n, a, |a| super::mul(a.clone(), a)),
        is: repeated(n, a, |a| a * a),
    }
    nested_call(a, b) at grid(2) => { f: super::mul_with_call(a, b), is: a * b, }
    iterpower_with_nested_def(a, n) at grid_with_rounds(2) => {
        f: {
            let inner = |a: T, b: T| a * b;
            repeat(&n, a, |a| inner(a.clone(), a))
        },
        is: repeated(n, a, |a| a * a),
    }
    unpacking_args_saxpy(a, b, c) at grid(3) => {
        f: { let packed = (a, b, c); let (a, b, c) = packed; a * b + c },
        is: a * b + c,
    }
    dict_saxpy(a, b, c) at grid(3) => {
        f: { let val = BTreeMap::from([("a", a), ("b", b), ("c", c)]); val["a"].clone() * &val["b"] + &val["c"] },
        is: a * b + c,
    }
    dict_wrapper(a, b, c) at grid(3) => {
        f: {
            let of_dict = |val: BTreeMap<&str, T>| val["a"].clone() * &val["b"] + &val["c"];
            let (a, b, c) = (a, b, c);
            of_dict(BTreeMap::from([("a", a), ("b", b), ("c", c)]))
        },
        is: a * b + c,
    }
    passthru_pack(a, b, c) at grid(3) => { f: { let x = [a, b, c]; x[1].clone() }, is: b, }
    passthru_unpack(a, b, c) at grid(3) => { f: { let (a, _b, _c) = (a, b, c); a }, is: a, }
    cart2polar(a, b) at grid(2) => {
        f: T::stack(&[(a.powi(2) + b.powi(2)).sqrt(), b.atan2(&a)], 0),
        is: [a.hypot(b), b.atan2(a)],
    }
    listcomp(a) at grid(1) => {
        f: { let list: Vec<T> = [&a].map(|i| i.clone() * 3.0).into(); T::stack(&list, 0).sum(..) },
        is: 3.0 * a,
    }
    while_big(a) at grid(1) => {
        f: T::while_loop(a, |a| a.abs().greater(&c(0.1)), |a| a * 0.5),
        is: { let mut a = a; while a.abs() > 0.1 { a *= 0.5; } a },
        smooth: a.abs() != 0.1,
    }
    augassign(a) at grid(1) => {
        f: { let mut x = a.clone() * a; let y = x.clone(); x *= y; x },
        is: a.powi(4),
    }
    stack_pushing(a) at grid(1) => {
        f: {
            let mut stack = Vec::new();
            let y = a.clone() * &a;
            stack.push(a);
            let aa = stack.pop().expect("what was pushed");
            y * &aa * aa
        },
        is: a.powi(4),
    }
    gradgrad_pow(a, b) at grid(2) => { f: a.pow(&b), is: a.powf(b), smooth: a > 0.0, }
    gradgrad_pow_twice(a) at grid(1) => { f: { a = a.clone() * a; a.clone() * a }, is: a.powi(4), }
    gradgrad_chain_of_mults(a) at grid(1) => {
        f: { let b = a.clone() * a; let c = b.clone() * b; c.clone() * c },
        is: a.powi(8),
    }
    gradgrad_chain_of_multcalls(a) at grid(1) => {
        f: {
            let b = super::mul(a.clone(), a);
            let c = super::mul(b.clone(), b);
            super::mul(c.clone(), c)
        },
        is: a.powi(8),
    }
    useless_stack_ops(a) at grid(1) => {
        f: { let mut stack = vec![a.clone() * &a]; stack.pop(); a },
        is: a,
    }
    redefining_var_as_list(a) at grid(1) => {
        f: { let mut stack = vec![a.clone()]; let x = vec![a.clone()]; drop(x); stack.pop(); a },
        is: a,
    }
    nested_dict(j, k) at grid(2) => {
        f: {
            let p = BTreeMap::from([("i", BTreeMap::from([("j", j), ("k", k)]))]);
            p["i"]["j"].clone() * &p["i"]["k"]
        },
        is: j * k,
    }
}
