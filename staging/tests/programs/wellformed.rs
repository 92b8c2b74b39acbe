//! Programs are what they print, refuse what is malformed, and mean what the interpreter says.

use crate::common::{cube, f64s, power, scalar, tower};
use antiphon_staging::interpret::interpret_within;
use antiphon_staging::*;

#[test]
fn the_recorded_derivative_of_a_cube_is_its_forward_half_then_its_backward_half() {
    let program = cube();
    let text = "\
fn cube(x: f64) -> f64 {
    x_bar: cell f64
    y1: f64 = x * x
    y1_bar: cell f64
    y2: f64 = y1 * x
    y2_bar: cell f64
    y2_bar += 1.0
    v0: f64 = take y2_bar
    v1: f64 = v0 * x
    y1_bar += v1
    v2: f64 = v0 * y1
    x_bar += v2
    v3: f64 = take y1_bar
    v4: f64 = v3 * x
    x_bar += v4
    v5: f64 = v3 * x
    x_bar += v5
    v6: f64 = take x_bar
    return v6
}
";
    assert_eq!(program.to_string(), text);
    assert_eq!(interpret(&program, &[2.0.into()]), Ok(vec![12.0.into()]));
}

#[test]
fn a_join_point_is_printed_once_and_called_by_both_arms() {
    let program = tower(1);
    let text = "\
fn tower(x: f64) -> f64 {
    v0: bool = x < 0.5
    fn join(y: f64) -> f64 {
        v1: f64 = y * y
        return v1
    }
    v2: f64 = if v0 {
        v3: f64 = sin(x)
        v4: f64 = join(v3)
        yield v4
    } else {
        v5: f64 = x * x
        v6: f64 = join(v5)
        yield v6
    }
    return v2
}
";
    assert_eq!(program.to_string(), text);
    assert_eq!(interpret(&program, &[2.0.into()]), Ok(vec![16.0.into()]));
}

#[test]
fn nested_branches_cost_linear_code() {
    let sizes: Vec<usize> = [1, 2, 10, 20].into_iter().map(|n| tower(n).len()).collect();
    let each = sizes[1] - sizes[0];
    assert_eq!(sizes[2], sizes[0] + 9 * each);
    assert_eq!(sizes[3], sizes[0] + 19 * each);
}

#[test]
fn a_recursive_function_gets_its_adjoint_from_the_continuation_that_it_calls_in_the_middle() {
    let program = power();
    let text = "\
fn main(x: f64, n: i64) -> f64 {
    fn power(y: f64, i: i64, k: fn(f64) -> f64) -> f64 {
        v0: bool = 0 < i
        v1: f64 = if v0 {
            v2: f64 = y * x
            v3: i64 = i - 1
            // continuation: what comes after the call that it is passed to
            fn next(v4: f64) -> f64 {
                v5: f64 = k(v4)
                return v5
            }
            v6: f64 = power(v2, v3, next)
            v7: f64 = v6 * x
            yield v7
        } else {
            v8: f64 = k(y)
            yield v8
        }
        return v1
    }
    // continuation: what comes after the call that it is passed to
    fn seed(y_1: f64) -> f64 {
        return 1.0
    }
    v9: f64 = power(1.0, n, seed)
    return v9
}
";
    assert_eq!(program.to_string(), text);
    // The adjoint of the initial 1 in 1·xⁿ.
    assert_eq!(interpret(&program, &[3.0.into(), 4i64.into()]), Ok(vec![81.0.into()]));
}

#[test]
fn recursion_is_limited_by_an_error_and_takes_no_native_stack() {
    let program = power();
    let deep = [ConcreteTensor::from(1.0), 50_000i64.into()];
    assert_eq!(interpret(&program, &deep), Ok(vec![1.0.into()]));
    assert_eq!(interpret_within(&program, &deep, 1000), Err(Error::Depth { limit: 1000 }));
}

#[test]
fn cells_are_empty_at_first_store_the_first_addend_exactly_and_are_emptied_by_take() {
    let b = Builder::new("cells");
    let g = b.input("g", scalar());
    let cell = b.cell(scalar());
    let before = b.present(cell);
    b.accumulate(cell, g).unwrap();
    let after = b.present(cell);
    let (first, second) = (b.take(cell), b.take(cell));
    let program = b.finish(&[before, after, first, second]).unwrap();
    let results = interpret(&program, &[(-0.0).into()]).unwrap();
    assert_eq!(results, [false.into(), true.into(), (-0.0).into(), 0.0.into()]);
}

#[test]
fn updates_touch_only_the_elements_that_they_name() {
    let b = Builder::new("updates");
    let (a, w) = (b.input("a", f64s(&[2, 1])), b.input("w", f64s(&[1, 3])));
    let indices = b.input("indices", Type::new(Dtype::I64, &[2]));
    let [product, rows, slice] = [(); 3].map(|()| b.cell(f64s(&[2, 3])));
    let wide = b.emit(Expr::Broadcast(w, [2, 3].as_slice().into())).unwrap();
    let update = Update::Slice { axis: 1, start: 0, step: 2, count: 2, g: a };
    assert!(b.update(slice, update).is_err(), "[2, 1] is not two columns");
    for _ in 0..2 {
        b.update(product, Update::Matmul(a, w)).unwrap();
        b.update(rows, Update::Rows { indices, g: wide }).unwrap();
        b.update(slice, Update::Slice { axis: 1, start: 2, step: 1, count: 1, g: a }).unwrap();
    }
    let results = [b.take(product), b.take(rows), b.take(slice)];
    let program = b.finish(&results).unwrap();
    let tensor = |shape: &[usize], xs: &[f64]| ConcreteTensor::new(shape, xs.to_vec()).unwrap();
    let inputs = [tensor(&[2, 1], &[1., 2.]), tensor(&[1, 3], &[3., 4., 5.])];
    let run = |indices: [i64; 2]| {
        let indices = ConcreteTensor::new(&[2], indices.to_vec()).unwrap();
        interpret(&program, &[inputs[0].clone(), inputs[1].clone(), indices])
    };
    let expected = [
        tensor(&[2, 3], &[6., 8., 10., 12., 16., 20.]),
        tensor(&[2, 3], &[0., 0., 0., 12., 16., 20.]),
        tensor(&[2, 3], &[0., 0., 2., 0., 0., 4.]),
    ];
    assert_eq!(run([1, 1]).unwrap(), expected);
    assert_eq!(run([1, 2]), Err(Error::Index { op: "scatter_rows", index: 2, length: 2, at: None }));
}

#[test]
fn a_value_of_one_arm_cannot_be_used_after_the_branch() {
    let b = Builder::new("leak");
    let x = b.input("x", scalar());
    let c = b.less(x, x).unwrap();
    let mut leaked = x;
    b.if_else(
        c,
        || {
            leaked = b.mul(x, x)?;
            b.name(leaked, "square");
            Ok(vec![leaked])
        },
        || Ok(vec![x]),
    )
    .unwrap();
    let error = b.add(leaked, x).unwrap_err().to_string();
    assert_eq!(error, "square is not in scope");
    let error = b.finish(&[leaked]).unwrap_err().to_string();
    assert_eq!(error, "square is not in scope");
}

#[test]
fn malformed_programs_are_refused_with_what_and_where() {
    let refused = |damage: fn(&mut Program)| {
        let mut program = power();
        damage(&mut program);
        verify(&program).unwrap_err().to_string()
    };
    let body = |p: &Program| p.funcs[p.entry].body;
    assert_eq!(
        refused(|p| {
            let block = p.funcs[p.entry].body;
            p.blocks[block].stmts.remove(0);
        }),
        "%f1 is not in scope (in main, at `v0: f64 = %f1(1.0, n, seed)`)"
    );
    assert_eq!(
        refused(|p| {
            let block = p.funcs[p.entry].body;
            let twice = p.blocks[block].stmts[0].clone();
            p.blocks[block].stmts.insert(1, twice);
        }),
        "power_1 is defined twice (in main, at `fn power_1`)"
    );
    assert_eq!(
        refused(|p| {
            let entry = p.entry;
            p.funcs[entry].results.push(Type::scalar(Dtype::I64));
        }),
        "results: expected (f64, i64), found (f64) (in main, at `return`)"
    );
    let mut passed = power();
    let block = body(&passed);
    let func = match passed.blocks[block].stmts[0] {
        Stmt::Define(func) => func,
        _ => panic!("the function is defined first"),
    };
    for stmt in &mut passed.blocks[block].stmts {
        if let Stmt::Call { continuations, .. } = stmt {
            continuations[0] = Target::Func(func);
        }
    }
    assert_eq!(
        verify(&passed).unwrap_err().to_string(),
        "power takes continuations and cannot be one (in main, at `v9: f64 = power(1.0, n, power)`)"
    );
}

#[test]
fn the_picture_has_a_node_for_every_statement_and_an_edge_for_every_use() {
    let picture = ir::print::graphviz(&cube());
    assert!(picture.starts_with("digraph program {\n"));
    assert_eq!(picture.matches("[style=dotted]").count(), 8, "five accumulations and three takes");
    let multiplications =
        picture.lines().filter(|line| line.contains("label=") && line.contains(" * ")).count();
    assert_eq!(multiplications, 6);
    assert_eq!(picture.matches('{').count(), picture.matches('}').count());
    assert!(ir::print::graphviz(&power()).contains("[style=dashed]"), "a continuation is passed down");
}

#[test]
fn no_number_of_elements_wraps_around() {
    const HALF: usize = 1 << 63;
    let none: &[usize] = &[0, 3];
    // Of `[0, 3]`, at its axis 0 or 1, or reshaped to an image.
    let refused = |shape: &[usize], expr: &dyn Fn(Value) -> Expr| {
        let b = Builder::new("f");
        let x = b.input("x", Type::new(Dtype::F64, shape));
        let error = b.emit(expr(x)).unwrap_err();
        assert!(matches!(error, Error::Operands { .. }), "{error}");
    };
    let most = usize::MAX;
    for padding in [(most, 0, 0), (HALF, HALF, 0), (0, 0, most), (0, 0, HALF), (0, most, most)] {
        let (before, after, interior) = padding;
        let padding = Padding { before, after, interior };
        refused(none, &|x| Expr::Pad { x, axis: 1, padding });
    }
    for shape in [&[0, most][..], &[most, 2, 0], &[0, HALF, 2]] {
        refused(none, &|x| Expr::Reshape(x, shape.into()));
        refused(none, &|_| Expr::Fill { value: Scalar::F64(0.0), shape: shape.into() });
    }
    refused(none, &|x| Expr::Slice { x, axis: 1, start: 0, end: 3, step: HALF });
    let image: &[usize] = &[1, 1, 2, 2];
    for (padding, stride) in [(most, 1), (HALF, 1), (HALF, HALF), (0, most)] {
        let window = Window2d { stride: [stride; 2], padding: [padding; 2] };
        refused(image, &|image| Expr::Unfold2d { image, kernel: [1, 1], window });
        refused(image, &|image| Expr::Conv2d { image, kernel: image, window });
    }
    // An input that no memory holds is found when the program is finished.
    let b = Builder::new("f");
    let x = b.input("x", Type::new(Dtype::F64, &[0, most]));
    assert!(matches!(b.finish(&[x]).unwrap_err(), Error::Operands { .. }));
}
