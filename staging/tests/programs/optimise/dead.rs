//! Code that never runs, and code whose results nobody reads.

use antiphon_staging::*;

use super::exact;
use crate::common::scalar;

#[test]
fn branch_keeps_the_arm_that_a_constant_selects() {
    let text = exact("branch", |b, [x, y, ..]| {
        let always = b.literal(Scalar::Bool(true));
        b.if_else(always, || Ok(vec![b.mul(x, y)?]), || Ok(vec![b.add(x, y)?]))
    });
    assert_eq!(text, "v0: f64 = x * y\nreturn v0");
}

#[test]
fn dead_code_goes_with_its_cells_functions_and_branches() {
    let text = exact("dead", |b, [x, y, _, c]| {
        let cell = b.cell(scalar());
        b.accumulate(cell, b.mul(x, y)?)?;
        let signature = |name| Signature::new(name, &[scalar()], &[scalar()]);
        let unused = b.function(signature("unused"), &[], |_, z, _| {
            b.accumulate(cell, z[0])?;
            Ok(vec![b.take(cell)])
        })?;
        b.function(signature("caller"), &[], |_, z, _| b.call(Target::Func(unused), z, &[]))?;
        b.if_else(c, || Ok(vec![b.add(x, y)?]), || Ok(vec![y]))?;
        let kept = b.if_else(c, || Ok(vec![b.unary(Unary::Sin, x)?, y]), || Ok(vec![x, b.mul(y, y)?]))?;
        Ok(vec![kept[0]])
    });
    let expected = "\
v0: f64 = if c {
    v1: f64 = sin(x)
    yield v1
} else {
    yield x
}
return v0";
    assert_eq!(text, expected);
}

#[test]
fn a_call_that_may_not_return_is_never_dead() {
    let b = Builder::new("f");
    let x = b.input("x", scalar());
    let endless = b.function(Signature::new("endless", &[scalar()], &[scalar()]), &[], |endless, z, _| {
        b.call(Target::Func(endless), z, &[])
    });
    b.call(Target::Func(endless.unwrap()), &[x], &[]).unwrap();
    let mut program = b.finish(&[x]).unwrap();
    optimise(&mut program, &OptimiseOptions::default());
    assert!(matches!(interpret(&program, &[1.0.into()]), Err(Error::Depth { .. })));
}
