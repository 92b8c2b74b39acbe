//! What becomes of functions: bodies that are moved or copied to their calls, and signatures.

use antiphon_staging::*;

use super::{after_all, body, exact};
use crate::common::{power, scalar, tower};

#[test]
fn inline_copies_what_is_small_moves_what_is_called_once_and_sees_through_what_passes_on() {
    let text = exact("inline", |b, [x, y, _, c]| {
        let signature = |name| Signature::new(name, &[scalar()], &[scalar()]);
        let small = b.function(signature("small"), &[], |_, z, _| Ok(vec![b.mul(z[0], y)?]))?;
        let passes_on =
            b.function(signature("passes_on"), &[], |_, z, _| b.call(Target::Func(small), z, &[]))?;
        let once = b.function(signature("once"), &[], |_, z, _| {
            let [then, otherwise] = [small, passes_on].map(|f| move || b.call(Target::Func(f), z, &[]));
            b.if_else(c, then, otherwise)
        })?;
        b.call(Target::Func(once), &[x], &[])
    });
    let expected = "\
fn small(v0: f64) -> f64 {
    v1: f64 = v0 * y
    return v1
}
v2: f64 = if c {
    v3: f64 = x * y
    yield v3
} else {
    v4: f64 = x * y
    yield v4
}
return v2";
    assert_eq!(text, expected);
}

#[test]
fn inline_moves_a_body_called_once_and_copies_a_small_join_point() {
    let mut program = tower(1);
    optimise(&mut program, &OptimiseOptions::default());
    let expected = "\
v0: bool = x < 0.5
v1: f64 = if v0 {
    y: f64 = sin(x)
    v2: f64 = y * y
    yield v2
} else {
    y_1: f64 = x * x
    v3: f64 = y_1 * y_1
    yield v3
}
return v1";
    assert_eq!(body(&program), expected);
}

#[test]
fn optimised_nested_branches_cost_linear_code() {
    let size = |n| {
        let mut program = tower(n);
        optimise(&mut program, &OptimiseOptions::default());
        program.len()
    };
    let each = size(3) - size(2);
    assert_eq!(size(20), size(2) + 18 * each);
}

#[test]
fn a_continuation_that_only_calls_another_is_that_other() {
    let text = after_all(&["inline", "dead"], power());
    let expected = "\
fn power(y: f64, i: i64, k: fn(f64) -> f64) -> f64 {
    v0: bool = 0 < i
    v1: f64 = if v0 {
        v2: f64 = y * x
        v3: i64 = i - 1
        v4: f64 = power(v2, v3, k)
        v5: f64 = v4 * x
        yield v5
    } else {
        v6: f64 = k(y)
        yield v6
    }
    return v1
}
// continuation: what comes after the call that it is passed to
fn seed(y_1: f64) -> f64 {
    return 1.0
}
v7: f64 = power(1.0, n, seed)
return v7";
    assert_eq!(text, expected);
}

#[test]
fn specialise_defines_a_function_where_its_continuation_is_always_the_same() {
    let expected = "\
fn seed(y: f64) -> f64 {
    return 1.0
}
fn power(y_1: f64, i: i64) -> f64 {
    v0: bool = 0 < i
    v1: f64 = if v0 {
        v2: f64 = y_1 * x
        v3: i64 = i - 1
        v4: f64 = power(v2, v3)
        v5: f64 = v4 * x
        yield v5
    } else {
        v6: f64 = seed(y_1)
        yield v6
    }
    return v1
}
v7: f64 = power(1.0, n)
return v7";
    assert_eq!(after_all(&["inline", "dead", "specialise"], power()), expected);
}

#[test]
fn signature_drops_what_only_goes_round_in_a_recursion() {
    let expected = "\
fn power(i: i64) -> f64 {
    v0: bool = 0 < i
    v1: f64 = if v0 {
        v2: i64 = i - 1
        v3: f64 = power(v2)
        v4: f64 = v3 * x
        yield v4
    } else {
        yield 1.0
    }
    return v1
}
v5: f64 = power(n)
return v5";
    assert_eq!(after_all(&["inline", "dead", "specialise", "inline", "signature"], power()), expected);
}

#[test]
fn signature_drops_results_that_are_only_handed_through() {
    let text = exact("signature", |b, [x, y, ..]| {
        let types = [Type::scalar(Dtype::I64), scalar(), scalar()];
        let both = b.function(Signature::new("both", &types, &types[1..]), &[], |both, given, _| {
            let &[i, p, q] = given else { unreachable!("three parameters") };
            b.if_else(
                b.less(b.literal(Scalar::I64(0)), i)?,
                || {
                    let fewer = b.binary(Binary::Sub, i, b.literal(Scalar::I64(1)))?;
                    b.call(Target::Func(both), &[fewer, b.mul(p, y)?, b.add(q, p)?], &[])
                },
                || Ok(vec![p, q]),
            )
        })?;
        let found = b.call(Target::Func(both), &[b.literal(Scalar::I64(3)), x, y], &[])?;
        Ok(found[..1].to_vec())
    });
    let expected = "\
fn both(v0: i64, v1: f64) -> f64 {
    v2: bool = 0 < v0
    v3: f64 = if v2 {
        v4: i64 = v0 - 1
        v5: f64 = v1 * y
        v6: f64 = both(v4, v5)
        yield v6
    } else {
        yield v1
    }
    return v3
}
v7: f64 = both(3, x)
return v7";
    assert_eq!(text, expected);
}
