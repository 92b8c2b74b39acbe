//! Matrices that a recursive function reads again and again, whose rows the pass `align` copies to cache lines.

use crate::common::f64s;
use antiphon_staging::jit::llvm_ir;
use antiphon_staging::*;

const SHAPE: [usize; 2] = [70, 130];
/// Bytes of 136 columns, which are 17 lines; of 130 they are 16 and a quarter.
const ALIGNED: &str = "1088";

/// `x·(W·Wᵀ)ⁿ`, by recursion on `n`, one product after the other, for some rows.
fn powers(rows: usize) -> Program {
    let (integer, row) = (Type::scalar(Dtype::I64), f64s(&[rows, SHAPE[0]]));
    let b = Builder::new("powers");
    let x = b.input("x", row.clone());
    let w = b.input("w", f64s(&SHAPE));
    let n = b.input("n", integer.clone());
    let number = |i: i64| b.literal(Scalar::I64(i));
    let power = Signature::new("power", &[integer, row.clone()], &[row]);
    let power = b.function(power, &[], |power, args, _| {
        b.if_else(
            b.less(number(0), args[0])?,
            || {
                let there = b.emit(Expr::Matmul(args[1], w))?;
                let turned = b.emit(Expr::Permute(w, [1, 0].as_slice().into()))?;
                let back = b.emit(Expr::Matmul(there, turned))?;
                let fewer = b.binary(Binary::Sub, args[0], number(1))?;
                b.call(Target::Func(power), &[fewer, back], &[])
            },
            || Ok(vec![args[1]]),
        )
    });
    let result = b.call(Target::Func(power.unwrap()), &[n, x], &[]).unwrap();
    b.finish(&result).unwrap()
}

/// Whole numbers, whose sums are exact in any order.
fn inputs(rows: usize, n: i64) -> [ConcreteTensor; 3] {
    let array = |shape: [usize; 2]| {
        let elements = (0..shape[0] * shape[1]).map(|i| (i * 37 % 19) as f64 % 3.0 - 1.0);
        ConcreteTensor::new(&shape, elements.collect::<Vec<f64>>()).unwrap()
    };
    [array([rows, SHAPE[0]]), array(SHAPE), n.into()]
}

fn optimised() -> CompileOptions {
    CompileOptions { optimise: Some(OptimiseOptions::default()), ..CompileOptions::default() }
}

#[test]
fn products_with_copied_rows_are_those_of_the_matrix() {
    for rows in [1, 2, 3] {
        let program = powers(rows);
        for strict in [false, true] {
            let options = CompileOptions { strict, ..optimised() };
            let mut compiled = compile(&program, &options).unwrap();
            for n in [0, 1, 3] {
                let inputs = inputs(rows, n);
                assert_eq!(compiled.run(&inputs), interpret(&program, &inputs), "{rows} rows, {n} times");
            }
        }
    }
}

#[test]
fn rows_are_copied_for_products_of_few_rows() {
    let copies = |rows| llvm_ir(&powers(rows), &optimised()).unwrap().contains(ALIGNED);
    assert!(copies(2));
    assert!(!copies(3), "a product of more rows is not bound by reading the matrix");
}

#[test]
fn the_text_of_a_program_shows_the_copies_that_its_code_makes() {
    let copy = "f64[70, 136] = pad(w, axis 1, before 0, after 6, interior 0)";
    for (rows, copied) in [(1, true), (2, true), (3, false)] {
        let text = compile(&powers(rows), &optimised()).unwrap().program().to_string();
        assert_eq!(text.contains(copy), copied, "{text}");
    }
    // What is not to be optimised is compiled as it is.
    let program = powers(2);
    assert_eq!(
        compile(&program, &CompileOptions::default()).unwrap().program().to_string(),
        program.to_string()
    );
    assert!(!llvm_ir(&program, &CompileOptions::default()).unwrap().contains(ALIGNED));
}

#[test]
fn a_program_that_is_optimised_again_makes_no_copies_of_copies() {
    let mut program = powers(2);
    for _ in 0..3 {
        optimise(&mut program, &OptimiseOptions::default());
        assert_eq!(program.to_string().matches("pad(").count(), 1, "{program}");
    }
}
