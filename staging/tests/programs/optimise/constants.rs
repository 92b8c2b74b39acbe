//! Parameters and results that are the same at every call.

use antiphon_staging::*;

use super::{after_all, exact, program, real};
use crate::common::scalar;

#[test]
fn always_sees_parameters_that_are_one_constant_at_every_call() {
    let text = exact("always", |b, _| {
        let types = [Type::scalar(Dtype::I64), scalar()];
        let power = b.function(Signature::new("power", &types, &types[1..]), &[], |power, given, _| {
            let &[i, base] = given else { unreachable!("two parameters") };
            b.if_else(
                b.less(b.literal(Scalar::I64(0)), i)?,
                || {
                    let fewer = b.binary(Binary::Sub, i, b.literal(Scalar::I64(1)))?;
                    let rest = b.call(Target::Func(power), &[fewer, base], &[])?;
                    Ok(vec![b.mul(rest[0], base)?])
                },
                || Ok(vec![real(b, 1.0)]),
            )
        })?;
        b.call(Target::Func(power), &[b.literal(Scalar::I64(3)), real(b, 2.0)], &[])
    });
    let expected = "\
fn power(v0: i64, v1: f64) -> f64 {
    v2: bool = 0 < v0
    v3: f64 = if v2 {
        v4: i64 = v0 - 1
        v5: f64 = power(v4, 2.0)
        v6: f64 = v5 * 2.0
        yield v6
    } else {
        yield 1.0
    }
    return v3
}
v7: f64 = power(3, 2.0)
return v7";
    assert_eq!(text, expected);
}

/// `x·yⁿ` by recursion with a flag beside each result that says whether it is there, as adjoints travel.
fn flagged(b: &Builder, [x, y, ..]: [Value; 4]) -> Result<Vec<Value>> {
    let (integer, truth) = (Type::scalar(Dtype::I64), Type::scalar(Dtype::Bool));
    let power = Signature::new("power", &[integer], &[scalar(), truth]);
    let power = b.function(power, &[], |power, i, _| {
        let cell = b.cell(scalar());
        let more = b.less(b.literal(Scalar::I64(0)), i[0])?;
        let recur = || {
            let fewer = b.binary(Binary::Sub, i[0], b.literal(Scalar::I64(1)))?;
            let rest = b.call(Target::Func(power), &[fewer], &[])?;
            b.if_else(rest[1], || b.accumulate(cell, b.mul(rest[0], y)?).map(|()| vec![]), || Ok(vec![]))
        };
        b.if_else(more, recur, || b.accumulate(cell, x).map(|()| vec![]))?;
        let present = b.present(cell);
        Ok(vec![b.take(cell), present])
    })?;
    b.call(Target::Func(power), &[b.literal(Scalar::I64(3))], &[])
}

#[test]
fn always_sees_that_what_a_recursion_adds_is_there() {
    let expected = "\
fn power(v0: i64) -> (f64, bool) {
    c0: cell f64
    v1: bool = 0 < v0
    if v1 {
        v2: i64 = v0 - 1
        v3: f64, v4: bool = power(v2)
        if true {
            v5: f64 = v3 * y
            c0 += v5
        }
    } else {
        c0 += x
    }
    // backward
    v6: bool = present c0
    v7: f64 = take c0
    return v7, true
}
v8: f64, v9: bool = power(3)
return v8, true";
    assert_eq!(exact("always", flagged), expected);
}

#[test]
fn flags_that_are_always_set_leave_the_signature_with_the_branches_that_ask() {
    let expected = "\
fn power(v0: i64) -> f64 {
    c0: cell f64
    v1: bool = 0 < v0
    if v1 {
        v2: i64 = v0 - 1
        v3: f64 = power(v2)
        v4: f64 = v3 * y
        c0 += v4
    } else {
        c0 += x
    }
    // backward
    v5: bool = present c0
    v6: f64 = take c0
    return v6
}
v7: f64 = power(3)
return v7, true";
    assert_eq!(after_all(&["always", "branch", "signature"], program(flagged)), expected);
}
