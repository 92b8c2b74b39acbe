//! Products that inner functions add to an outer cell, whose rows compiled code collects.

use crate::common::f64s;
use antiphon_staging::jit::llvm_ir;
use antiphon_staging::*;

const WIDTH: [usize; 2] = [40, 33];

/// What an activation does to the cell besides adding a product of rows.
#[derive(Clone, Copy, PartialEq)]
enum Besides {
    Nothing,
    /// Adds ones, in the last of them.
    Adds,
    /// Takes what is there and adds it again, in the last of them.
    Takes,
    /// Asks whether anything is there.
    Asks,
}

/// `(Σᵢ (x·i)ᵀ·(y·i), number of activations in which the cell was found filled)` over `0 < i ≤ n`, for `rows` rows.
fn sums(rows: usize, besides: Besides) -> Program {
    let integer = Type::scalar(Dtype::I64);
    let b = Builder::new("sums");
    let x = b.input("x", f64s(&[rows, WIDTH[0]]));
    let y = b.input("y", f64s(&[rows, WIDTH[1]]));
    let n = b.input("n", integer.clone());
    let sum = b.cell(f64s(&WIDTH));
    let number = |i: i64| b.literal(Scalar::I64(i));
    let down = Signature::new("down", std::slice::from_ref(&integer), &[f64s(&[])]);
    let down = b.function(down, &[], |down, i, _| {
        b.if_else(
            b.less(number(0), i[0])?,
            || {
                let factor = b.emit(Expr::Convert(i[0], Dtype::F64))?;
                let factors = [x, y].map(|x| b.mul(x, factor).unwrap());
                let turned = b.emit(Expr::Permute(factors[0], [1, 0].as_slice().into()))?;
                let filled = b.present(sum);
                let asked = if besides == Besides::Asks {
                    b.if_else(
                        filled,
                        || Ok(vec![b.real(Dtype::F64, 1.0)]),
                        || Ok(vec![b.real(Dtype::F64, 0.0)]),
                    )?[0]
                } else {
                    b.real(Dtype::F64, 0.0)
                };
                b.update(sum, Update::Matmul(turned, factors[1]))?;
                let late = b.less(i[0], number(70))?;
                b.if_else(
                    late,
                    || {
                        match besides {
                            Besides::Adds => {
                                let one = Scalar::F64(1.0);
                                let ones =
                                    b.emit(Expr::Fill { value: one, shape: WIDTH.as_slice().into() })?;
                                b.accumulate(sum, ones)?;
                            }
                            Besides::Takes => b.accumulate(sum, b.take(sum))?,
                            Besides::Nothing | Besides::Asks => {}
                        }
                        Ok(vec![])
                    },
                    || Ok(vec![]),
                )?;
                let fewer = b.binary(Binary::Sub, i[0], number(1))?;
                let rest = b.call(Target::Func(down), &[fewer], &[])?;
                Ok(vec![b.add(rest[0], asked)?])
            },
            || Ok(vec![b.real(Dtype::F64, 0.0)]),
        )
    });
    let found = b.call(Target::Func(down.unwrap()), &[n], &[]).unwrap();
    let filled = b.present(sum);
    let filled = b
        .if_else(filled, || Ok(vec![b.real(Dtype::F64, 1.0)]), || Ok(vec![b.real(Dtype::F64, 0.0)]))
        .unwrap();
    let total = b.take(sum);
    b.finish(&[total, found[0], filled[0]]).unwrap()
}

/// Whole numbers, whose sums are exact in any order.
fn inputs(rows: usize, n: i64) -> [ConcreteTensor; 3] {
    let array = |width: usize| {
        let elements = (0..rows * width).map(|i| (i * 37 % 19) as f64 - 9.0);
        ConcreteTensor::new(&[rows, width], elements.collect::<Vec<f64>>()).unwrap()
    };
    [array(WIDTH[0]), array(WIDTH[1]), n.into()]
}

#[test]
fn collected_rows_are_contracted_when_they_are_many_and_when_something_looks_at_the_cell() {
    for besides in [Besides::Nothing, Besides::Adds, Besides::Takes, Besides::Asks] {
        for rows in [1, 5] {
            let program = sums(rows, besides);
            let mut compiled = compile(&program, &CompileOptions::default()).unwrap();
            for n in [0, 1, 2, 12, 13, 63, 64, 65, 150] {
                let inputs = inputs(rows, n);
                let found = compiled.run(&inputs);
                assert_eq!(found, interpret(&program, &inputs), "{n} times {rows} rows");
            }
        }
    }
}

#[test]
fn strict_code_adds_each_product_by_itself() {
    let program = sums(1, Besides::Nothing);
    let strict = CompileOptions { strict: true, ..CompileOptions::default() };
    let inputs = inputs(1, 70);
    assert_eq!(compile(&program, &strict).unwrap().run(&inputs), interpret(&program, &inputs));
    // A contraction whose length is known only at run time is what collecting comes to.
    let kernel = format!("product.{}x{}xk", WIDTH[0], WIDTH[1]);
    assert!(!llvm_ir(&program, &strict).unwrap().contains(&kernel));
    assert!(llvm_ir(&program, &CompileOptions::default()).unwrap().contains(&kernel));
}

#[test]
fn products_of_many_rows_are_added_at_once() {
    let text = llvm_ir(&sums(30, Besides::Nothing), &CompileOptions::default()).unwrap();
    assert!(!text.contains("xk"), "30 rows of 40 and 33 elements are as long as the sum");
}
