//! What each pass makes of a program.

mod common;

use antiphon_staging::optimise::PASSES;
use antiphon_staging::*;
use common::{cube, f64s, power, scalar, tower};

/// A program of inputs `x, y: f64`, `a: f64[2, 3]`, `c: bool`.
fn program(record: impl FnOnce(&Builder, [Value; 4]) -> Result<Vec<Value>>) -> Program {
    let b = Builder::new("f");
    let inputs = [scalar(), scalar(), f64s(&[2, 3]), Type::scalar(Dtype::Bool)];
    let mut names = ["x", "y", "a", "c"].into_iter();
    let inputs = inputs.map(|ty| b.input(names.next().expect("four names"), ty));
    let results = record(&b, inputs).expect("a well-formed program");
    b.finish(&results).expect("a well-formed program")
}

/// The body of such a [`program`] after one run of a pass.
fn after(
    pass: &str,
    options: Options,
    record: impl FnOnce(&Builder, [Value; 4]) -> Result<Vec<Value>>,
) -> String {
    let mut program = program(record);
    let (_, run) = PASSES.iter().find(|(name, _)| *name == pass).expect("a pass of this name");
    assert!(run(&mut program, &options), "{pass} had nothing to do");
    verify(&program).expect("passes keep programs well-formed");
    body(&program)
}

/// The body of a program after some passes, once each.
fn after_all(passes: &[&str], mut program: Program) -> String {
    for pass in passes {
        let (_, run) = PASSES.iter().find(|(name, _)| name == pass).expect("a pass of this name");
        assert!(run(&mut program, &Options::default()), "{pass} had nothing to do");
        verify(&program).expect("passes keep programs well-formed");
    }
    body(&program)
}

fn body(program: &Program) -> String {
    let text = program.to_string();
    let lines: Vec<&str> = text.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
    lines[1..lines.len() - 1].join("\n")
}

fn exact(pass: &str, record: impl FnOnce(&Builder, [Value; 4]) -> Result<Vec<Value>>) -> String {
    after(pass, Options::default(), record)
}

fn real(b: &Builder, value: f64) -> Value {
    b.real(Dtype::F64, value)
}

#[test]
fn the_derivative_of_a_cube_is_three_times_the_square_with_and_without_reassociation() {
    for reassociate in [false, true] {
        let mut program = cube();
        optimise(&mut program, &Options { reassociate });
        assert_eq!(body(&program), "y1: f64 = x * x\nv0: f64 = 3.0 * y1\nreturn v0");
        assert_eq!(program.exprs().len(), 3, "a literal and two multiplications");
    }
}

#[test]
fn fold_computes_what_is_constant() {
    let text = exact("fold", |b, [x, ..]| {
        let two = b.add(real(b, 1.0), real(b, 1.0))?;
        let row = b.emit(Expr::Array(std::sync::Arc::new(Tensor::new(&[2], vec![1.0, 4.0]).unwrap())))?;
        let roots = b.mul(b.unary(Unary::Sqrt, row)?, two)?;
        Ok(vec![b.mul(x, two)?, roots])
    });
    assert_eq!(
        text,
        "v0: f64[2] = [1.0, 4.0]\nv1: f64[2] = [1.0, 2.0]\nv2: f64[2] = [2.0, 4.0]\nv3: f64 = x * 2.0\nreturn v3, v2"
    );
}

#[test]
fn branch_keeps_the_arm_that_a_constant_selects() {
    let text = exact("branch", |b, [x, y, ..]| {
        let always = b.literal(Scalar::Bool(true));
        b.if_else(always, || Ok(vec![b.mul(x, y)?]), || Ok(vec![b.add(x, y)?]))
    });
    assert_eq!(text, "v0: f64 = x * y\nreturn v0");
}

#[test]
fn algebra_knows_what_holds_bit_for_bit_and_only_that() {
    type Record = fn(&Builder, Value) -> Result<Value>;
    let one = |record: Record| {
        let b = Builder::new("f");
        let x = b.input("x", scalar());
        let y = record(&b, x).unwrap();
        let mut program = b.finish(&[y]).unwrap();
        optimise(&mut program, &Options::default());
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
fn like_terms_are_collected_where_regrouping_is_allowed() {
    let record = |b: &Builder, [x, y, ..]: [Value; 4]| {
        let xx = b.mul(x, x)?;
        let double = b.mul(b.add(x, x)?, x)?;
        Ok(vec![b.add(b.add(xx, y)?, double)?])
    };
    let text = after("like_terms", Options { reassociate: true }, record);
    let collected = "v4: f64 = x * x\nv5: f64 = 3.0 * v4\nv6: f64 = v5 + y\nreturn v6";
    assert!(text.ends_with(collected), "{text}");
}

#[test]
fn regrouping_changes_nothing_where_nothing_is_rounded() {
    let mut collected = 0;
    for seed in 0..4000 {
        let b = Builder::new("polynomial");
        let mut values = vec![b.input("x", scalar()), b.input("y", scalar()), real(&b, 2.0), real(&b, 1.0)];
        for choice in fuzz::choices(seed, 10) {
            let choice = choice as usize;
            let (i, j) = (choice / 4 % values.len(), choice / 64 % values.len());
            let op = [Binary::Add, Binary::Sub, Binary::Mul, Binary::Add][choice % 4];
            values.push(b.binary(op, values[i], values[j]).unwrap());
        }
        let before = b.finish(&values[values.len() - 2..]).unwrap();
        let [mut exact, mut regrouped] = [before.clone(), before.clone()];
        optimise(&mut exact, &Options::default());
        optimise(&mut regrouped, &Options { reassociate: true });
        let operators =
            |p: &Program| p.exprs().iter().filter(|expr| !matches!(expr, Expr::Fill { .. })).count();
        assert!(operators(&regrouped) <= operators(&exact), "{exact}\nbecame\n{regrouped}");
        collected += usize::from(operators(&regrouped) < operators(&exact));
        let inputs = [Tensor::from(3.0), Tensor::from(-5.0)];
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
    optimise(&mut program, &Options { reassociate: true });
    let inputs = [f64::INFINITY.into(), 1.0.into()];
    assert!(interpret(&program, &inputs).unwrap()[0].same(&f64::NAN.into()));
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
fn forward_passes_by_cells_in_straight_line_code() {
    let text = exact("forward", |b, [x, y, a, _]| {
        let [sum, never, product] = [b.cell(scalar()), b.cell(f64s(&[2])), b.cell(f64s(&[2, 2]))];
        b.accumulate(sum, x)?;
        b.accumulate(sum, y)?;
        let transposed = b.emit(Expr::Permute(a, [1, 0].as_slice().into()))?;
        b.update(product, Update::Matmul(a, transposed))?;
        Ok(vec![b.present(sum), b.take(sum), b.take(never), b.take(product)])
    });
    let expected = "\
c0: cell f64
c1: cell f64[2]
c2: cell f64[2, 2]
v0: f64[3, 2] = permute(a, [1, 0])
v1: f64 = x + y
v2: f64[2] = fill 0.0 to [2]
v3: f64[2, 2] = matmul(a, v0)
return true, v1, v2, v3";
    assert_eq!(text, expected);
}

#[test]
fn forward_leaves_cells_that_something_else_may_touch() {
    let b = Builder::new("f");
    let (x, c) = (b.input("x", scalar()), b.input("c", Type::scalar(Dtype::Bool)));
    let cell = b.cell(scalar());
    let func =
        b.function(Signature::new("add", &[], &[]), &[], |_, _, _| b.accumulate(cell, x).map(|()| vec![]));
    let func = func.unwrap();
    b.accumulate(cell, x).unwrap();
    b.if_else(c, || b.call(Target::Func(func), &[], &[]), || Ok(vec![])).unwrap();
    let sum = b.take(cell);
    let mut program = b.finish(&[sum]).unwrap();
    optimise(&mut program, &Options::default());
    for (c, expected) in [(true, 6.0), (false, 3.0)] {
        assert_eq!(interpret(&program, &[3.0.into(), c.into()]), Ok(vec![expected.into()]));
    }
}

#[test]
fn forward_knows_that_a_continuation_may_touch_the_cells_of_its_maker() {
    let b = Builder::new("f");
    let x = b.input("x", scalar());
    let cell = b.cell(scalar());
    let k = Signature::new("k", &[scalar()], &[scalar()]);
    let middle =
        b.function(Signature::new("middle", &[], &[scalar()]), std::slice::from_ref(&k), |_, _, conts| {
            let own = b.cell(scalar());
            b.accumulate(own, x)?;
            let before = b.take(cell);
            b.call(Target::Cont(conts[0]), &[x], &[])?;
            let after = b.add(b.take(cell), b.take(own))?;
            Ok(vec![b.add(before, after)?])
        });
    let passed = b.function(k.clone(), &[], |_, y, _| b.accumulate(cell, y[0]).map(|()| y.to_vec()));
    let (middle, passed) = (Target::Func(middle.unwrap()), Target::Func(passed.unwrap()));
    let results = [b.call(middle, &[], &[passed]).unwrap(), b.call(middle, &[], &[passed]).unwrap()].concat();
    let mut program = b.finish(&results).unwrap();
    let (_, run) = PASSES.iter().find(|(name, _)| *name == "forward").unwrap();
    run(&mut program, &Options::default());
    let text = program.to_string();
    assert!(text.contains("v1: f64 = k(x)\n        v2: f64 = take c0\n        v3: f64 = v2 + x\n"), "{text}");
}

#[test]
fn forward_leaves_in_an_outer_cell_what_a_block_put_there() {
    let b = Builder::new("f");
    let (x, c) = (b.input("x", scalar()), b.input("c", Type::scalar(Dtype::Bool)));
    let cell = b.cell(scalar());
    let replace = || {
        let old = b.take(cell);
        b.accumulate(cell, x)?;
        Ok(vec![old])
    };
    let old = b.if_else(c, replace, || Ok(vec![x])).unwrap();
    let new = b.take(cell);
    let mut program = b.finish(&[old[0], new]).unwrap();
    optimise(&mut program, &Options::default());
    for (c, expected) in [(true, [0.0, 3.0]), (false, [3.0, 0.0])] {
        assert_eq!(interpret(&program, &[3.0.into(), c.into()]), Ok(expected.map(Tensor::from).to_vec()));
    }
}

#[test]
fn cse_knows_which_operators_commute() {
    let b = Builder::new("f");
    let (x, y) = (b.input("x", scalar()), b.input("y", scalar()));
    let both = |op| [b.binary(op, x, y).unwrap(), b.binary(op, y, x).unwrap()];
    let results =
        [both(Binary::Add), both(Binary::Mul), both(Binary::Maximum), both(Binary::Minimum)].concat();
    let mut program = b.finish(&results).unwrap();
    optimise(&mut program, &Options::default());
    assert_eq!(program.exprs().len(), 6, "the larger of 0 and −0 depends on their order");
}

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
    optimise(&mut program, &Options::default());
    let expected = "\
v0: bool = x < 0.5
v1: f64 = if v0 {
    v2: f64 = sin(x)
    v3: f64 = v2 * v2
    yield v3
} else {
    v4: f64 = x * x
    v5: f64 = v4 * v4
    yield v5
}
return v1";
    assert_eq!(body(&program), expected);
}

#[test]
fn a_long_chain_keeps_three_statements_a_step_and_no_cell() {
    const STEPS: usize = 2000;
    let b = Builder::new("chain");
    let x = b.input("x", scalar());
    let mut cells = Vec::new();
    let mut y = x;
    for _ in 0..STEPS {
        cells.push((b.cell(scalar()), y));
        y = b.mul(b.unary(Unary::Sin, y).unwrap(), x).unwrap();
    }
    let mut g = real(&b, 1.0);
    for (cell, y) in cells.into_iter().rev() {
        b.accumulate(cell, b.mul(g, y).unwrap()).unwrap();
        g = b.take(cell);
    }
    let mut program = b.finish(&[y, g]).unwrap();
    let report = optimise(&mut program, &Options { reassociate: true });
    // sin, its product, and one product backwards; the first of these is by 1.
    assert_eq!((report.before, report.after), (6 * STEPS + 1, 3 * STEPS - 1));
}

#[test]
fn optimised_nested_branches_cost_linear_code() {
    let size = |n| {
        let mut program = tower(n);
        optimise(&mut program, &Options::default());
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
        optimise(&mut program, &Options::default());
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
    optimise(&mut program, &Options::default());
    let x = Tensor::new(&[2], vec![1.0, 2.0]).unwrap();
    assert_eq!(interpret(&program, &[x, 7i64.into()]), Ok(vec![0.0.into()]));
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
    optimise(&mut program, &Options::default());
    assert!(matches!(interpret(&program, &[1.0.into()]), Err(Error::Depth { .. })));
}
