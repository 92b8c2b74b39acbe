//! What becomes of cells, in which adjoints are collected.

use antiphon_staging::*;

use super::{after_all, exact, program, real, run};
use crate::common::{f64s, scalar};

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
    optimise(&mut program, &OptimiseOptions::default());
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
    run("forward", &mut program, &OptimiseOptions::default());
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
    optimise(&mut program, &OptimiseOptions::default());
    for (c, expected) in [(true, [0.0, 3.0]), (false, [3.0, 0.0])] {
        assert_eq!(
            interpret(&program, &[3.0.into(), c.into()]),
            Ok(expected.map(ConcreteTensor::from).to_vec())
        );
    }
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
    let report = optimise(&mut program, &OptimiseOptions { reassociate: true });
    // sin, its product, and one product backwards; the first of these is by 1.
    assert_eq!((report.before, report.after), (6 * STEPS + 1, 3 * STEPS - 1));
}

#[test]
fn yields_makes_cells_that_both_arms_fill_results_of_the_branch() {
    let sums = |both: bool| {
        program(|b, [x, y, _, c]| {
            let cell = b.cell(scalar());
            let then = || b.accumulate(cell, x).and_then(|()| b.accumulate(cell, y)).map(|()| vec![x]);
            let other = || if both { b.accumulate(cell, y).map(|()| vec![y]) } else { Ok(vec![y]) };
            let mut results = b.if_else(c, then, other)?;
            results.push(b.take(cell));
            Ok(results)
        })
    };
    let expected = "\
v0: f64, v1: f64 = if c {
    c0: cell f64
    c0 += x
    c0 += y
    v2: f64 = take c0
    yield x, v2
} else {
    c1: cell f64
    c1 += y
    v3: f64 = take c1
    yield y, v3
}
return v0, v1";
    assert_eq!(after_all(&["yields"], sums(true)), expected);
    // What one arm leaves empty would be zeros that nothing asked for.
    assert!(!optimise::yields::run(&mut sums(false), &OptimiseOptions::default()));
}
