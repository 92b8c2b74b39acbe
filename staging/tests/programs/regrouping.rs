//! The passes that regroup sums: what they make of cells, and that results agree to rounding.

use crate::common::f64s;
use crate::fuzz::choices;
use antiphon_staging::optimise::PASSES;
use antiphon_staging::*;

const REGROUP: OptimiseOptions = OptimiseOptions { reassociate: true };

fn run(pass: &str, program: &mut Program) -> bool {
    let (_, run) = PASSES.iter().find(|(name, _)| *name == pass).expect("a pass of this name");
    let changed = run(program, &REGROUP);
    verify(program).expect("passes keep programs well-formed");
    changed
}

/// The body of a program of inputs `x: f64[2, 3]`, `y: f64[2, 3]` after one run of a pass.
fn after(pass: &str, record: impl FnOnce(&Builder, [Value; 2]) -> Result<Vec<Value>>) -> String {
    let b = Builder::new("f");
    let inputs = ["x", "y"].map(|name| b.input(name, f64s(&[2, 3])));
    let results = record(&b, inputs).expect("a well-formed program");
    let mut program = b.finish(&results).expect("a well-formed program");
    run(pass, &mut program);
    let text = program.to_string();
    let lines: Vec<&str> = text.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
    lines[1..lines.len() - 1].join("\n")
}

fn slice(axis: usize, start: usize, g: Value) -> Update {
    let count = if axis == 0 { 2 } else { 3 };
    Update::Slice { axis, start, step: 1, count, g }
}

fn transposed(b: &Builder, x: Value) -> Result<Value> {
    b.emit(Expr::Permute(x, [1, 0].as_slice().into()))
}

#[test]
fn slices_that_cover_a_cell_are_concatenated() {
    let text = after("tiles", |b, [x, y]| {
        let cell = b.cell(f64s(&[2, 6]));
        b.update(cell, slice(1, 3, x))?;
        b.update(cell, slice(1, 0, y))?;
        Ok(vec![b.take(cell)])
    });
    assert_eq!(text, "c0: cell f64[2, 6]\nv0: f64[2, 6] = concat(y, x, axis 1)\nreturn v0");
}

#[test]
fn slices_that_leave_a_gap_or_overlap_are_added_to_zeros() {
    for (rows, starts) in [(6, [0, 4]), (6, [0, 2]), (3, [0, 1]), (4, [0, 0])] {
        let text = after("tiles", |b, [x, y]| {
            let cell = b.cell(f64s(&[rows, 3]));
            b.update(cell, slice(0, starts[0], x))?;
            b.update(cell, slice(0, starts[1], y))?;
            Ok(vec![b.take(cell)])
        });
        assert!(text.contains("take c0"), "{text}");
    }
}

#[test]
fn a_cell_that_was_looked_at_keeps_its_slices() {
    let looks: [fn(&Builder, Cell) -> Result<Value>; 2] =
        [|b, cell| Ok(b.present(cell)), |b, cell| b.row(cell, b.literal(Scalar::I64(1)))];
    for look in looks {
        let text = after("tiles", |b, [x, y]| {
            let cell = b.cell(f64s(&[4, 3]));
            b.update(cell, slice(0, 0, x))?;
            let seen = look(b, cell)?;
            b.update(cell, slice(0, 2, y))?;
            Ok(vec![seen, b.take(cell)])
        });
        assert!(text.contains("take c0"), "{text}");
    }
}

#[test]
fn products_for_one_cell_become_one_in_the_order_in_which_their_rows_are_elsewhere() {
    let text = after("defer", |b, [x, y]| {
        let cell = b.cell(f64s(&[3, 3]));
        let both = b.emit(Expr::Concat(vec![y, x], 0))?;
        b.update(cell, Update::Matmul(transposed(b, y)?, x))?;
        b.update(cell, Update::Matmul(transposed(b, x)?, y))?;
        Ok(vec![b.take(cell), both])
    });
    let expected = "\
c0: cell f64[3, 3]
v0: f64[4, 3] = concat(y, x, axis 0)
v1: f64[3, 2] = permute(y, [1, 0])
v2: f64[3, 2] = permute(x, [1, 0])
v3: f64[4, 3] = concat(y, x, axis 0)
v4: f64[4, 3] = concat(x, y, axis 0)
v5: f64[3, 4] = permute(v4, [1, 0])
c0 += matmul(v5, v3)
v6: f64[3, 3] = take c0
return v6, v0";
    assert_eq!(text, expected);
}

#[test]
fn products_are_not_deferred_past_what_may_look_at_their_cell() {
    let text = after("defer", |b, [x, y]| {
        let cell = b.cell(f64s(&[3, 3]));
        let look =
            b.function(Signature::new("look", &[], &[f64s(&[3, 3])]), &[], |_, _, _| Ok(vec![b.take(cell)]))?;
        let turned = transposed(b, x)?;
        b.update(cell, Update::Matmul(turned, y))?;
        let seen = b.call(Target::Func(look), &[], &[])?;
        b.update(cell, Update::Matmul(turned, x))?;
        Ok(vec![seen[0], b.take(cell)])
    });
    assert!(!text.contains("concat"), "{text}");
}

/// A program that adds products, slices and arrays to cells, looks at them and takes them, as `choices` say.
fn accumulations(seed: u64) -> Program {
    let b = Builder::new("accumulations");
    let mut rows = [2, 2, 1].map(|n| b.input("x", f64s(&[n, 3]))).to_vec();
    let cells = [b.cell(f64s(&[3, 3])), b.cell(f64s(&[4, 3]))];
    let mut results = Vec::new();
    let square = |b: &Builder, x: Value| b.mul(x, x);
    for choice in choices(seed, 40) {
        let (what, which) = (choice % 8, choice as usize / 8);
        let (x, y) = (rows[which % rows.len()], rows[which / 16 % rows.len()]);
        let done = match what {
            0..=2 if b.ty(x) == b.ty(y) => {
                transposed(&b, x).and_then(|x| b.update(cells[0], Update::Matmul(x, y)))
            }
            3 | 4 if b.ty(x).shape[0] == 2 => b.update(cells[1], slice(0, which / 256 % 3, x)),
            5 => square(&b, x).map(|x| rows.push(x)),
            6 if which % 4 == 0 => {
                results.push(b.present(cells[which / 4 % 2]));
                Ok(())
            }
            7 => {
                results.push(b.take(cells[which % 2]));
                Ok(())
            }
            _ => Ok(()),
        };
        done.expect("shapes fit");
    }
    results.extend(cells.map(|cell| b.take(cell)));
    b.finish(&results).expect("a well-formed program")
}

/// Inputs of [`accumulations`]: small integers, with which sums of products are exact in any order.
fn integers(program: &Program) -> Vec<ConcreteTensor> {
    let params = &program.funcs[program.entry].params;
    let array = |(i, v): (usize, &Value)| {
        let ty = program.ty(*v);
        let elements: Vec<f64> = (0..ty.size()).map(|j| ((i * 7 + j * 5) % 3) as f64 - 1.0).collect();
        ConcreteTensor::new(&ty.shape, elements).expect("as many as the shape says")
    };
    params.iter().enumerate().map(array).collect()
}

/// Whether results are the same by value: zeros may change their sign.
fn agree(a: &[ConcreteTensor], b: &[ConcreteTensor]) -> bool {
    let each = |a: &ConcreteTensor, b: &ConcreteTensor| {
        a.shape() == b.shape()
            && (0..a.size()).all(|i| match (a.at(i), b.at(i)) {
                (Scalar::Bool(a), Scalar::Bool(b)) => a == b,
                (a, b) => a.real() == b.real(),
            })
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| each(a, b))
}

#[test]
fn regrouped_accumulations_agree_with_the_interpreter() {
    let mut changes = [0; 2];
    for seed in 0..1000 {
        let program = accumulations(seed);
        let inputs = integers(&program);
        let expected = interpret(&program, &inputs).unwrap();
        for (pass, changes) in ["tiles", "defer"].into_iter().zip(&mut changes) {
            let mut changed = program.clone();
            *changes += usize::from(run(pass, &mut changed));
            let found = interpret(&changed, &inputs).unwrap();
            assert!(agree(&expected, &found), "{pass}: {program}\nbecame\n{changed}");
        }
        let mut optimised = program.clone();
        optimise(&mut optimised, &REGROUP);
        let found = interpret(&optimised, &inputs).unwrap();
        assert!(agree(&expected, &found), "{program}\nbecame\n{optimised}");
    }
    assert!(changes[0] > 50 && changes[1] > 500, "{changes:?}");
}

#[cfg(feature = "llvm")]
#[test]
fn compiled_accumulations_are_the_interpreters_bit_for_bit() {
    let strict = CompileOptions { strict: true, ..CompileOptions::default() };
    for seed in 0..60 {
        let mut program = accumulations(seed);
        let inputs = integers(&program);
        for _ in 0..2 {
            let found = compile(&program, &strict).unwrap().run(&inputs).unwrap();
            let expected = interpret(&program, &inputs).unwrap();
            let same = expected.iter().zip(&found).all(|(expected, found)| expected.same(found));
            assert!(same, "{program}\n{expected:?} became {found:?}");
            optimise(&mut program, &REGROUP);
        }
    }
}
