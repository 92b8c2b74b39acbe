//! What becomes of expressions: constants, identities, repetitions and, where regrouping is allowed, like terms.

use antiphon_staging::*;

use super::{after, body, exact, real};
use crate::common::{cube, scalar};

#[test]
fn the_derivative_of_a_cube_is_three_times_the_square_with_and_without_reassociation() {
    for reassociate in [false, true] {
        let mut program = cube();
        optimise(&mut program, &OptimiseOptions { reassociate });
        assert_eq!(body(&program), "y1: f64 = x * x\nv0: f64 = 3.0 * y1\nreturn v0");
        assert_eq!(program.exprs().len(), 3, "a literal and two multiplications");
    }
}

#[test]
fn fold_computes_what_is_constant() {
    let text = exact("fold", |b, [x, ..]| {
        let two = b.add(real(b, 1.0), real(b, 1.0))?;
        let row =
            b.emit(Expr::Array(std::sync::Arc::new(ConcreteTensor::new(&[2], vec![1.0, 4.0]).unwrap())))?;
        let roots = b.mul(b.unary(Unary::Sqrt, row)?, two)?;
        Ok(vec![b.mul(x, two)?, roots])
    });
    assert_eq!(
        text,
        "v0: f64[2] = [1.0, 4.0]\nv1: f64[2] = [1.0, 2.0]\nv2: f64[2] = [2.0, 4.0]\nv3: f64 = x * 2.0\nreturn v3, v2"
    );
}

#[test]
fn algebra_knows_what_holds_bit_for_bit_and_only_that() {
    type Record = fn(&Builder, Value) -> Result<Value>;
    let one = |record: Record| {
        let b = Builder::new("f");
        let x = b.input("x", scalar());
        let y = record(&b, x).unwrap();
        let mut program = b.finish(&[y]).unwrap();
        optimise(&mut program, &OptimiseOptions::default());
        body(&program)
    };
    let table: [(Record, &str); 16] = [
        (|b, x| b.mul(x, real(b, 1.0)), "return x"),
        (|b, x| b.add(x, real(b, -0.0)), "return x"),
        (|b, x| b.binary(Binary::Sub, x, real(b, 0.0)), "return x"),
        (|b, x| b.unary(Unary::Neg, b.unary(Unary::Neg, x)?), "return x"),
        (|b, x| b.mul(x, real(b, -1.0)), "v0: f64 = -x\nreturn v0"),
        (|b, x| b.binary(Binary::Div, real(b, 1.0), x), "v0: f64 = recip(x)\nreturn v0"),
        (|b, x| b.binary(Binary::Div, x, real(b, 4.0)), "v0: f64 = 0.25 * x\nreturn v0"),
        (|b, x| b.emit(Expr::Powi(x, 2)), "v0: f64 = x * x\nreturn v0"),
        (|b, x| b.add(b.add(x, x)?, b.add(x, x)?), "v0: f64 = 4.0 * x\nreturn v0"),
        (|b, x| b.add(b.add(b.add(x, x)?, x)?, x), "v0: f64 = 4.0 * x\nreturn v0"),
        // These look like identities.
        (|b, x| b.add(x, real(b, 0.0)), "v0: f64 = x + 0.0\nreturn v0"),
        (|b, x| b.mul(x, real(b, 0.0)), "v0: f64 = x * 0.0\nreturn v0"),
        (|b, x| b.binary(Binary::Sub, x, x), "v0: f64 = x - x\nreturn v0"),
        (|b, x| b.binary(Binary::Div, x, real(b, 3.0)), "v0: f64 = x / 3.0\nreturn v0"),
        (|b, x| b.binary(Binary::Sub, real(b, 0.0), x), "v0: f64 = 0.0 - x\nreturn v0"),
        (|b, x| b.add(b.mul(real(b, 5.0), x)?, x), "v0: f64 = 5.0 * x\nv1: f64 = v0 + x\nreturn v1"),
    ];
    for (record, expected) in table {
        assert_eq!(one(record), expected);
    }
}

#[test]
fn algebra_drops_movements_that_undo_each_other() {
    let text = exact("algebra", |b, [_, _, a, _]| {
        let transposed = b.emit(Expr::Permute(a, [1, 0].as_slice().into()))?;
        let again = b.emit(Expr::Permute(transposed, [1, 0].as_slice().into()))?;
        let flat = b.emit(Expr::Reshape(again, [6].as_slice().into()))?;
        Ok(vec![b.emit(Expr::Reshape(flat, [2, 3].as_slice().into()))?])
    });
    assert!(text.ends_with("return a"), "{text}");
}

#[test]
fn algebra_joins_rows_before_they_are_reshaped() {
    let text = exact("algebra", |b, [_, _, a, _]| {
        let row = b.emit(Expr::Reshape(a, [1, 2, 3].as_slice().into()))?;
        let other = b.emit(Expr::Reshape(b.mul(a, a)?, [1, 2, 3].as_slice().into()))?;
        Ok(vec![b.emit(Expr::Concat(vec![row, other], 0))?])
    });
    assert!(
        text.ends_with(
            "f64[4, 3] = concat(a, v1, axis 0)\nv4: f64[2, 2, 3] = reshape(v3, [2, 2, 3])\nreturn v4"
        ),
        "{text}"
    );
}

#[test]
fn cse_sees_enclosing_scopes_but_not_neighbouring_ones() {
    let text = exact("cse", |b, [x, y, _, c]| {
        let product = b.mul(x, y)?;
        let sum = || b.add(x, y);
        let arms = b.if_else(c, || Ok(vec![b.mul(b.mul(y, x)?, sum()?)?]), || Ok(vec![sum()?]))?;
        Ok(vec![product, arms[0]])
    });
    let expected = "\
v0: f64 = x * y
v1: f64 = if c {
    v2: f64 = x + y
    v3: f64 = v0 * v2
    yield v3
} else {
    v4: f64 = x + y
    yield v4
}
return v0, v1";
    assert_eq!(text, expected);
}

#[test]
fn cse_knows_which_operators_commute() {
    let b = Builder::new("f");
    let (x, y) = (b.input("x", scalar()), b.input("y", scalar()));
    let both = |op| [b.binary(op, x, y).unwrap(), b.binary(op, y, x).unwrap()];
    let results =
        [both(Binary::Add), both(Binary::Mul), both(Binary::Maximum), both(Binary::Minimum)].concat();
    let mut program = b.finish(&results).unwrap();
    optimise(&mut program, &OptimiseOptions::default());
    assert_eq!(program.exprs().len(), 6, "the larger of 0 and −0 depends on their order");
}

#[test]
fn like_terms_are_collected_where_regrouping_is_allowed() {
    let record = |b: &Builder, [x, y, ..]: [Value; 4]| {
        let xx = b.mul(x, x)?;
        let double = b.mul(b.add(x, x)?, x)?;
        Ok(vec![b.add(b.add(xx, y)?, double)?])
    };
    let text = after("like_terms", OptimiseOptions { reassociate: true }, record);
    let collected = "v4: f64 = x * x\nv5: f64 = 3.0 * v4\nv6: f64 = v5 + y\nreturn v6";
    assert!(text.ends_with(collected), "{text}");
}

#[test]
fn regrouping_changes_nothing_where_nothing_is_rounded() {
    let mut collected = 0;
    for seed in 0..4000 {
        let b = Builder::new("polynomial");
        let mut values = vec![b.input("x", scalar()), b.input("y", scalar()), real(&b, 2.0), real(&b, 1.0)];
        for choice in crate::fuzz::choices(seed, 10) {
            let choice = choice as usize;
            let (i, j) = (choice / 4 % values.len(), choice / 64 % values.len());
            let op = [Binary::Add, Binary::Sub, Binary::Mul, Binary::Add][choice % 4];
            values.push(b.binary(op, values[i], values[j]).unwrap());
        }
        let before = b.finish(&values[values.len() - 2..]).unwrap();
        let [mut exact, mut regrouped] = [before.clone(), before.clone()];
        optimise(&mut exact, &OptimiseOptions::default());
        optimise(&mut regrouped, &OptimiseOptions { reassociate: true });
        let operators =
            |p: &Program| p.exprs().iter().filter(|expr| !matches!(expr, Expr::Fill { .. })).count();
        assert!(operators(&regrouped) <= operators(&exact), "{exact}\nbecame\n{regrouped}");
        collected += usize::from(operators(&regrouped) < operators(&exact));
        let inputs = [ConcreteTensor::from(3.0), ConcreteTensor::from(-5.0)];
        let (expected, found) =
            (interpret(&before, &inputs).unwrap(), interpret(&regrouped, &inputs).unwrap());
        for (expected, found) in expected.iter().zip(&found) {
            // By value: zeros may change their sign.
            assert_eq!(expected.at(0).real(), found.at(0).real(), "{before}\nbecame\n{regrouped}");
        }
    }
    assert!(collected > 25, "only {collected} polynomials had like terms");
}

#[test]
fn terms_that_cancel_stay_for_they_may_be_infinite() {
    let b = Builder::new("f");
    let (x, y) = (b.input("x", scalar()), b.input("y", scalar()));
    let z = b.binary(Binary::Sub, b.add(x, y).unwrap(), x).unwrap();
    let mut program = b.finish(&[z]).unwrap();
    optimise(&mut program, &OptimiseOptions { reassociate: true });
    let inputs = [f64::INFINITY.into(), 1.0.into()];
    assert!(interpret(&program, &inputs).unwrap()[0].same(&f64::NAN.into()));
}
