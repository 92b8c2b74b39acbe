//! What is computed before a recursive function, since it does not vary in it.

use antiphon_staging::*;

use super::{exact, real};
use crate::common::{f64s, scalar};

#[test]
fn hoist_computes_before_a_recursive_function_what_does_not_vary_in_it() {
    let text = exact("hoist", |b, [x, y, a, _]| {
        let sums = f64s(&[2, 2]);
        let power = Signature::new("power", &[Type::scalar(Dtype::I64)], std::slice::from_ref(&sums));
        let power = b.function(power, &[], |power, i, _| {
            let more = b.less(b.literal(Scalar::I64(0)), i[0])?;
            b.if_else(
                more,
                || {
                    let fewer = b.binary(Binary::Sub, i[0], b.literal(Scalar::I64(1)))?;
                    let turned = b.emit(Expr::Permute(a, [1, 0].as_slice().into()))?;
                    let square = b.emit(Expr::Matmul(a, turned))?;
                    let slow = b.unary(Unary::Sin, b.mul(x, y)?)?;
                    let rest = b.call(Target::Func(power), &[fewer], &[])?;
                    Ok(vec![b.mul(b.add(rest[0], square)?, b.mul(slow, b.add(x, y)?)?)?])
                },
                || Ok(vec![b.emit(Expr::Fill { value: Scalar::F64(1.0), shape: [2, 2].as_slice().into() })?]),
            )
        })?;
        b.call(Target::Func(power), &[b.literal(Scalar::I64(3))], &[])
    });
    let expected = "\
v0: f64[3, 2] = permute(a, [1, 0])
v1: f64[2, 2] = matmul(a, v0)
v2: f64 = x * y
v3: f64 = sin(v2)
fn power(v4: i64) -> f64[2, 2] {
    v5: bool = 0 < v4
    v6: f64[2, 2] = if v5 {
        v7: i64 = v4 - 1
        v8: f64[2, 2] = power(v7)
        v9: f64[2, 2] = v8 + v1
        v10: f64 = x + y
        v11: f64 = v3 * v10
        v12: f64[2, 2] = v9 * v11
        yield v12
    } else {
        v13: f64[2, 2] = fill 1.0 to [2, 2]
        yield v13
    }
    return v6
}
v14: f64[2, 2] = power(3)
return v14";
    assert_eq!(text, expected);
}

#[test]
fn hoist_leaves_in_place_a_transposed_matrix_that_single_rows_are_multiplied_by() {
    for (rows, hoisted) in [(1, false), (2, false), (3, true)] {
        let b = Builder::new("f");
        let (x, w) = (b.input("x", f64s(&[rows, 5])), b.input("w", f64s(&[5, 5])));
        let n = b.input("n", Type::scalar(Dtype::I64));
        let signature = [f64s(&[rows, 5]), Type::scalar(Dtype::I64)];
        let f = b.function(Signature::new("f", &signature, &signature[..1]), &[], |f, params, _| {
            let (x, i) = (params[0], params[1]);
            b.if_else(
                b.less(b.literal(Scalar::I64(0)), i)?,
                || {
                    let turned = b.emit(Expr::Permute(w, [1, 0].as_slice().into()))?;
                    let y = b.emit(Expr::Matmul(x, turned))?;
                    let fewer = b.binary(Binary::Sub, i, b.literal(Scalar::I64(1)))?;
                    b.call(Target::Func(f), &[y, fewer], &[])
                },
                || Ok(vec![x]),
            )
        });
        let y = b.call(Target::Func(f.unwrap()), &[x, n], &[]).unwrap();
        let mut program = b.finish(&y).unwrap();
        optimise(&mut program, &OptimiseOptions::default());
        let text = program.to_string();
        let permuted_first = text.find("permute").unwrap() < text.find("    fn ").expect(&text);
        assert_eq!(permuted_first, hoisted, "{text}");
    }
}

#[test]
fn hoist_leaves_in_place_what_may_fail() {
    let b = Builder::new("f");
    let (x, n) = (b.input("x", f64s(&[2])), b.input("n", Type::scalar(Dtype::I64)));
    let signature = Signature::new("f", &[Type::scalar(Dtype::I64)], &[scalar()]);
    let f = b.function(signature, &[], |f, i, _| {
        let more = b.less(b.literal(Scalar::I64(0)), i[0])?;
        b.if_else(
            more,
            || {
                let row = b.emit(Expr::GatherRows { x, indices: n })?;
                let fewer = b.binary(Binary::Sub, i[0], b.literal(Scalar::I64(1)))?;
                Ok(vec![b.add(b.unary(Unary::Exp, row)?, b.call(Target::Func(f), &[fewer], &[])?[0])?])
            },
            || Ok(vec![real(&b, 0.0)]),
        )
    });
    let sum = b.call(Target::Func(f.unwrap()), &[b.literal(Scalar::I64(0))], &[]).unwrap();
    let mut program = b.finish(&sum).unwrap();
    optimise(&mut program, &OptimiseOptions::default());
    let x = ConcreteTensor::new(&[2], vec![1.0, 2.0]).unwrap();
    assert_eq!(interpret(&program, &[x, 7i64.into()]), Ok(vec![0.0.into()]));
}
