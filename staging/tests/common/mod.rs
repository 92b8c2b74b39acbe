//! Programs that several tests look at.
#![allow(dead_code, reason = "each test uses some of them")]

use antiphon_staging::*;

/// A real scalar.
pub fn scalar() -> Type {
    Type::scalar(Dtype::F64)
}

/// An array of reals.
pub fn f64s(shape: &[usize]) -> Type {
    Type::new(Dtype::F64, shape)
}

/// The derivative of `x·x·x`, as the rules of reverse mode record it.
pub fn cube() -> Program {
    let record = || -> Result<Program> {
        let b = Builder::new("cube");
        let x = b.input("x", scalar());
        let named = |name: &str| {
            let cell = b.cell(scalar());
            b.name_cell(cell, name);
            cell
        };
        let x_bar = named("x_bar");
        let y1 = b.mul(x, x)?;
        b.name(y1, "y1");
        let y1_bar = named("y1_bar");
        let y2 = b.mul(y1, x)?;
        b.name(y2, "y2");
        let y2_bar = named("y2_bar");
        b.accumulate(y2_bar, b.real(Dtype::F64, 1.0))?;
        let g = b.take(y2_bar);
        b.accumulate(y1_bar, b.mul(g, x)?)?;
        b.accumulate(x_bar, b.mul(g, y1)?)?;
        let g = b.take(y1_bar);
        b.accumulate(x_bar, b.mul(g, x)?)?;
        b.accumulate(x_bar, b.mul(g, x)?)?;
        let dx = b.take(x_bar);
        b.finish(&[dx])
    };
    record().expect("a well-formed program")
}

/// `n` branches one after another, each with its continuation as a join point.
pub fn tower(n: usize) -> Program {
    fn level(b: &Builder, x: Value, n: usize) -> Result<Value> {
        if n == 0 {
            return b.mul(x, x);
        }
        let small = b.less(x, b.real(Dtype::F64, 0.5))?;
        let join = b.function(Signature::new("join", &[scalar()], &[scalar()]), &[], |_, y, _| {
            b.name(y[0], "y");
            Ok(vec![level(b, y[0], n - 1)?])
        })?;
        let arm = |y: Result<Value>| b.call(Target::Func(join), &[y?], &[]);
        Ok(b.if_else(small, || arm(b.unary(Unary::Sin, x)), || arm(b.mul(x, x)))?[0])
    }
    let b = Builder::new("tower");
    let x = b.input("x", scalar());
    let y = level(&b, x, n).expect("a well-formed program");
    b.finish(&[y]).expect("a well-formed program")
}

/// The adjoint of `y` in `y·xⁿ`, for `n` that is data: recursion with a continuation.
pub fn power() -> Program {
    let record = || -> Result<Program> {
        let b = Builder::new("main");
        let (x, n) = (b.input("x", scalar()), b.input("n", Type::scalar(Dtype::I64)));
        let integer = Type::scalar(Dtype::I64);
        let k = Signature::new("k", &[scalar()], &[scalar()]);
        let signature = Signature::new("power", &[scalar(), integer], &[scalar()]);
        let power = b.function(signature, std::slice::from_ref(&k), |power, params, conts| {
            let &[y, i] = params else { unreachable!("two parameters") };
            let k = Target::Cont(conts[0]);
            b.name(y, "y");
            b.name(i, "i");
            let more = b.less(b.literal(Scalar::I64(0)), i)?;
            b.if_else(
                more,
                || {
                    let yx = b.mul(y, x)?;
                    let fewer = b.binary(Binary::Sub, i, b.literal(Scalar::I64(1)))?;
                    let next =
                        b.function(Signature::new("next", &[scalar()], &[scalar()]), &[], |_, y, _| {
                            b.call(k, y, &[])
                        })?;
                    let g = b.call(Target::Func(power), &[yx, fewer], &[Target::Func(next)])?;
                    Ok(vec![b.mul(g[0], x)?])
                },
                || b.call(k, &[y], &[]),
            )
        })?;
        let seed = b.function(Signature::new("seed", &[scalar()], &[scalar()]), &[], |_, y, _| {
            b.name(y[0], "y");
            Ok(vec![b.real(Dtype::F64, 1.0)])
        })?;
        let one = b.real(Dtype::F64, 1.0);
        let g = b.call(Target::Func(power), &[one, n], &[Target::Func(seed)])?;
        b.finish(&g)
    };
    record().expect("a well-formed program")
}
