//! What is wrong in a model comes out of the entry point as an error that names the user's line.

use antiphon::control::{NumberedTree, Tree, TreeArrays, scan};
use antiphon::nn::{Lstm, Recurrent, Rng, Rnn};
use antiphon::{
    Batch, Control, Dual, Error, IntTensor, NdArray, NdInt, OrRaise, Padding, Real, Tensor, Var, Window2d,
    cps, grad, hessian, hvp, jacobian, jvp, raise, value_and_grad, vjp,
};

type Array = NdArray<f64>;

fn zeros(shape: &[usize]) -> Array {
    Array::zeros(shape)
}

/// The error's message begins with `expected` and ends with the line of the macro's call.
macro_rules! refuses {
    ($expected:literal, $result:expr) => {{
        let line = line!();
        let message = $result.map(drop).unwrap_err().to_string();
        assert!(message.starts_with($expected), "{message}");
        let place = format!("{}:", file!());
        let found: u32 =
            message.rsplit_once(&place).expect(&message).1.split(':').next().unwrap().parse().unwrap();
        assert!((line..line + 6).contains(&found), "{message}, expected at line {line}");
    }};
}

#[test]
fn shapes_that_do_not_fit_in_direct_style() {
    let (a, b) = (zeros(&[2, 4]), zeros(&[5, 1]));
    refuses!(
        "matmul: cannot multiply [2, 4] by [5, 1] (",
        grad(|(a, b)| a.matmul(&b).sum(..), &(a.clone(), b.clone()))
    );
    refuses!(
        "add: cannot combine [2, 4] with [5, 1] (",
        grad(|(a, b)| (a + &b).sum(..), &(a.clone(), b.clone()))
    );
    refuses!(
        "pow: cannot combine [2, 4] with [5, 1] (",
        grad(|(a, b)| a.pow(&b).sum(..), &(a.clone(), b.clone()))
    );
    refuses!(
        "matmul: cannot multiply [3] by [2] (",
        grad(|x| x.matmul(&Var::lift(&zeros(&[2]))), &zeros(&[3]))
    );
    refuses!("matmul: cannot multiply [] by [3] (", grad(|x| x.sum(..).matmul(&x), &zeros(&[3])));
    refuses!("reshape: cannot turn [3] into [2, 2] (", grad(|x| x.reshape(&[2, 2]).sum(..), &zeros(&[3])));
    refuses!("sum: [3]: axis 1 is out of range for rank 1 (", grad(|x| x.sum(1), &zeros(&[3])));
    refuses!("max: [0]: axis 0 is empty and has no max (", grad(|x| x.max(0), &zeros(&[0])));
    refuses!("min: [0]: axis 0 is empty and has no min (", grad(|x| x.min(0), &zeros(&[0])));
    refuses!(
        "concat: cannot combine [2] with [1, 2] (",
        grad(|x| Var::concat(&[x.clone(), x.unsqueeze(0)], 0).sum(..), &zeros(&[2]))
    );
    refuses!("concat: there is nothing to concatenate (", grad(|x| Var::concat(&[], 0) + x, &zeros(&[2])));
    refuses!("slice: [3]: 2..5 by 1 does not fit axis 0 (", grad(|x| x.slice(0, 2..5).sum(..), &zeros(&[3])));
    refuses!(
        "split: [3]: [1, 1] do not add up to axis 0 (",
        grad(|x| x.split(&[1, 1], 0)[0].sum(..), &zeros(&[3]))
    );
    refuses!("permute: [2, 4]: [0, 0] is not a permutation", grad(|x| x.permute(&[0, 0]).sum(..), &a));
    refuses!(
        "gather_rows: index 3 is out of range for a dimension of length 2 (",
        grad(|x| x.gather_rows(&NdInt::from_elements(&[1], &[3]).unwrap()).sum(..), &a)
    );
    refuses!(
        "gather_last: index -1 is out of range for a dimension of length 4 (",
        grad(|x| x.cross_entropy(&NdInt::from_elements(&[2], &[0, -1]).unwrap()).sum(..), &a)
    );
    refuses!(
        "select: cannot combine",
        grad(|x| Var::select(&zeros(&[3]).less(&zeros(&[3])), &x, &x).sum(..), &a)
    );
    // On constants inside of a derivative, and on plain arrays.
    refuses!("matmul: cannot multiply [2, 4] by [5, 1] (", grad(|x| x.sum(..) * a.matmul(&b).item(), &a));
    refuses!(
        "matmul: cannot multiply [2, 4] by [5, 1] (",
        grad(|x| x.sum(..) + Var::lift(&a).matmul(&Var::lift(&b)), &a)
    );
}

#[test]
fn what_is_wrong_with_a_shape_and_what_would_not_be() {
    let says = |found: antiphon::Result<Array>, text: &str| {
        let message = found.unwrap_err().to_string();
        let (_, rule) = message.split_once("): ").unwrap_or_else(|| panic!("{message}"));
        assert_eq!(rule, text);
    };
    let [a, b, c, v] = [&[2, 3][..], &[2, 4], &[4, 3], &[2]].map(zeros);
    let product = |x: &Array, y: &Array| grad(|x| x.matmul(&Var::lift(y)).sum(..), x);
    says(
        product(&a, &b),
        "3 columns on the left meet 2 rows on the right; the left one would fit transposed, as `.transpose()`",
    );
    says(
        product(&a, &c),
        "3 columns on the left meet 4 rows on the right; the right one would fit transposed, as `.transpose()`",
    );
    says(product(&c, &b), "3 columns on the left meet 2 rows on the right");
    says(
        product(&a, &v),
        "3 columns on the left meet 2 rows on the right; the left one would fit transposed, as `.transpose()`",
    );
    says(product(&a, &zeros(&[])), "a number multiplies with `*`");
    // What they say is so.
    assert_eq!(a.transpose().matmul(&b).shape()[..], [3, 4]);
    assert_eq!(a.matmul(&c.transpose()).shape()[..], [2, 4]);
    let sum = |x: &Array, y: &Array| grad(|x| (x + y).sum(..), x);
    let rule = "from the last axis on, lengths are equal or one of them is 1, and ";
    says(sum(&a, &b), &format!("{rule}3 meets 4"));
    says(
        sum(&a, &v),
        &format!("{rule}3 meets 2; the right one would meet the first axes as `.unsqueeze(-1)`"),
    );
    says(
        sum(&v, &a),
        &format!("{rule}2 meets 3; the left one would meet the first axes as `.unsqueeze(-1)`"),
    );
    assert_eq!((a.clone() + v.unsqueeze(-1)).shape()[..], [2, 3]);
    says(grad(|x| x.reshape(&[5]).sum(..), &a), "6 elements do not become 5");
    says(grad(|x| x.broadcast_to(&[3]).sum(..), &v), "it repeats axes of length 1, and adds axes in front");
}

#[test]
fn the_same_in_every_mode() {
    let a = zeros(&[2, 4]);
    refuses!("matmul: cannot multiply [2, 4] by [2, 4] (", jvp(|x| x.matmul(&x).sum(..), &a, &a));
    refuses!("matmul: cannot multiply [2, 4] by [2, 4] (", hvp(|x| x.matmul(&x).sum(..), &a, &a));
    refuses!("matmul: cannot multiply [2, 4] by [2, 4] (", jacobian(|x| x.matmul(&x), &a));
    refuses!("matmul: cannot multiply [2, 4] by [2, 4] (", hessian(|x| x.matmul(&x).sum(..), &a));
    refuses!("matmul: cannot multiply [2, 4] by [2, 4] (", vjp(|x| x.matmul(&x), &a, &a));
    refuses!(
        "matmul: cannot multiply [2, 4] by [2, 4] (",
        grad(|x| grad(|y| y.matmul(&y).sum(..), &x).unwrap_or_else(|e| raise(e)).sum(..), &a)
    );
    refuses!("softmax", jvp(|x| x.log_softmax(7).sum(..), &a, &a).map_err(|e| relabel(e, "log_softmax")));
    refuses!(
        "batch_matmul",
        cps::grad(&a, |x, k| cps::batch_matmul(x, x, k)).map_err(|e| relabel(e, "matmul"))
    );
    refuses!(
        "gather_rows: index 9",
        jvp(|x| x.gather_rows(&NdInt::from_elements(&[1], &[9]).unwrap()).sum(..), &a, &a)
    );
}

/// Puts an operator's name in front of a message that carries the name of the operator that it is made of.
fn relabel(error: Error, inner: &str) -> Error {
    match error {
        Error::Shape { op, lhs, rhs, at } if op == inner => Error::Shape { op: "batch_matmul", lhs, rhs, at },
        Error::Operand { op, shape, reason, at } if op == inner => {
            Error::Operand { op: "softmax", shape, reason, at }
        }
        other => other,
    }
}

#[test]
fn a_loss_has_to_be_a_scalar() {
    refuses!("grad: [3]: the function has to return a scalar", grad(|x| x, &zeros(&[3])));
    refuses!("grad: [1]: the function has to return a scalar", value_and_grad(|x| x, &zeros(&[1])));
    refuses!("hvp: [3]: the function has to return a scalar", hvp(|x| x, &zeros(&[3]), &zeros(&[3])));
    refuses!("grad: [3]: the function has to return a scalar", cps::grad(&zeros(&[3]), |x, k| k(x)));
}

#[test]
fn directions_have_to_be_like_the_point() {
    refuses!("broadcast_to: cannot turn [2] into [3] (", jvp(|x| x, &zeros(&[3]), &zeros(&[2])));
    refuses!("broadcast_to: cannot turn [2] into [3] (", hvp(|x| x.sum(..), &zeros(&[3]), &zeros(&[2])));
    refuses!("broadcast_to: cannot turn [2] into [3] (", vjp(|x| x, &zeros(&[3]), &zeros(&[2])));
    let error = jvp(|x| x, &zeros(&[3]), &zeros(&[2])).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
    let error = jvp(|(x, y)| x + &y, &(zeros(&[3]), zeros(&[3])), &(zeros(&[3]),)).unwrap_err();
    assert!(matches!(error, Error::Structure(_)), "{error}");
    let error = vjp(|x| x, &zeros(&[3]), &zeros(&[2])).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
    let error = vjp(|x| vec![x], &1.0, &vec![1.0, 2.0]).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "{error}");
    refuses!(
        "vjp: an adjoint of \"1\", which the function does not give (",
        vjp(|x| vec![x], &1.0, &vec![1.0, 2.0])
    );
}

#[test]
fn settings_out_of_range() {
    let x = zeros(&[3]);
    let seed = NdInt::from_elements(&[], &[1]).unwrap();
    for rate in [-0.1, 1.5, f64::NAN] {
        refuses!("dropout: the rate ", grad(|x| x.dropout(rate, &seed).sum(..), &x));
    }
    assert_eq!(grad(|x| x.dropout(1.0, &seed).sum(..), &x).unwrap(), x);
    refuses!("index: index 9 is out of range for a dimension of length 3 (", grad(|x| x.index(0, 9), &x));
    refuses!("index: index", grad(|x| x.index(0, usize::MAX), &x));
    let padding = Padding { before: usize::MAX, after: 3, interior: 0 };
    refuses!("pad: [3]: Padding", grad(|x| x.pad(0, padding).sum(..), &x));
    refuses!("split: [3]:", grad(|x| x.split(&[usize::MAX, 4], 0)[0].sum(..), &x));
    assert_eq!(grad(|x| x.powi(i32::MIN), &1.0f64).unwrap(), f64::from(i32::MIN));
}

#[test]
fn numbers_do_not_wrap_around() {
    const HALF: usize = 1 << 63;
    let x = NdArray::from(vec![1.0, 2.0, 3.0]);
    // A step beyond the end picks the first element.
    for step in [3, HALF - 1, HALF, HALF + 1, usize::MAX] {
        let slope = grad(|x| x.slice_step(0, 0..3, step).sum(..), &x).unwrap();
        assert_eq!(slope, NdArray::from(vec![1.0, 0.0, 0.0]), "{step}");
    }
    // Nothing, of which there is as much as an array can name.
    let nothing = || NdArray::from(ndarray::Array::<f64, _>::zeros((0, isize::MAX as usize)));
    let parts = [nothing(), nothing(), nothing()];
    refuses!(
        "concat: [0, 18446744073709551615]: no array has so",
        grad(|x| x + Var::lift(&Array::concat(&parts, 1)), &x)
    );
    refuses!("sum: [3]: axis 9223372036854775807 is out of", grad(|x| x.sum(usize::MAX), &x));
    for shape in [&[0, usize::MAX][..], &[usize::MAX, 2, 0], &[0, HALF, 2]] {
        refuses!("reshape: [", grad(|x| x.slice(0, 0..0).reshape(shape).sum(..), &x));
        refuses!("full: [", grad(|x| x.sum(..) + Var::zeros(shape), &x));
    }
    refuses!("reshape: cannot turn [3] into [", grad(|x| x.reshape(&[usize::MAX, 3]).sum(..), &x));
    refuses!("broadcast_to: [1099511627776, 3]: no", grad(|x| x.broadcast_to(&[1 << 40, 3]).sum(..), &x));
    refuses!("mean: [3]: axis", grad(|x| x.mean(isize::MIN), &x));
}

#[test]
fn every_operator_names_the_users_line_whatever_it_is_made_of() {
    let x = zeros(&[2, 3]);
    refuses!("unsqueeze: [2, 3]: axis 7 is", grad(|x| Var::stack(&[x.clone(), x], 7).sum(..), &x));
    refuses!("var: [2, 3]: axis 7 is out of range", grad(|x| x.var(7).sum(..), &x));
    refuses!("conv2d: cannot combine", jvp(|x| x.conv2d(&x, Window2d::default()), &x, &x));
    refuses!("concat: cannot combine", jvp(|x| Dual::concat(&[x.clone(), x.sum(..)], 0), &x, &x));
    refuses!("max: [2, 3]: axis 7 is out of range", hvp(|x| x.max(7).sum(..), &x, &x));
    // Loops and recursion.
    refuses!(
        "scan: cannot combine [0] with [1]",
        grad(
            |y| (
                scan(zeros(&[]), &x, |n: Array, _| (n.clone() + 1.0, zeros(&[n.item() as usize]))).or_raise(),
                y
            )
                .1,
            &0.0
        )
    );
    refuses!("scan: []: a scalar has no rows to scan", scan(zeros(&[]), &zeros(&[]), |n, x| (n, x)));
    let children = |left: i64| NdInt::from(vec![left, -1]);
    let tree = TreeArrays { left: children(5), right: children(1), root: NdInt::from(0) };
    refuses!(
        "gather_rows: index 5 is out of range for a dimension of length 2",
        grad(
            |x| Var::fold_tree(&tree, |_| x.clone(), |_, left: Var<'_, Array>, right| left + right),
            &zeros(&[])
        )
    );
    refuses!(
        "while_loop: [2, 3]: the condition is not a single truth value",
        grad(|x| Var::while_loop(x, |x| x.less(x), |x| x).sum(..), &x)
    );
    // Layers.
    let cell = Lstm { wx: zeros(&[3, 8]), wh: zeros(&[2, 6]), b: zeros(&[6]) };
    refuses!(
        "slice: [2, 6]: 6..8 by 1 does not fit axis 1",
        grad(|c| c.advance(&c.initial(2), &Var::zeros(&[2, 6])).h.sum(..), &cell)
    );
    let cell = Lstm { wh: zeros(&[2]), ..cell };
    refuses!("recurrent: [2]: recurrent weights are", grad(|c| c.initial(2).h.sum(..), &cell));
    refuses!(
        "sample: [2, 18446744073709551615]: no",
        grad(|x| Rnn::<Var<'_, Array>>::new(&mut Rng::new(1), 2, usize::MAX).b + x, &x)
    );
    refuses!("NumberedTree: a node with 1 children", NumberedTree::binary(&Lonely));
}

/// A node with one child.
struct Lonely;

impl Tree for Lonely {
    fn children(&self) -> &[Lonely] {
        &[Lonely]
    }
}

#[test]
fn errors_of_the_users_own() {
    let failing = || {
        std::fs::read_to_string("/does/not/exist")
            .map_err(|source| Error::Io { path: "/does/not/exist".into(), source })
    };
    let error = grad(
        |x: Var<'_, f64>| {
            failing().or_raise();
            x
        },
        &1.0f64,
    )
    .unwrap_err();
    assert!(error.to_string().starts_with("/does/not/exist: "), "{error}");
    // And the same after some operators.
    let error = grad(
        |x: Var<'_, f64>| {
            let y = x.sin();
            failing().or_raise();
            y
        },
        &1.0f64,
    )
    .unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[test]
fn an_undecided_condition_names_its_line() {
    let mask = zeros(&[2]).less(&zeros(&[2]));
    refuses!(
        "cond: [2]: the condition is not a single truth value",
        grad(|x| Var::cond(&mask, || x.clone(), || -x.clone()), &Array::scalar(1.0))
    );
}

#[test]
fn nothing_is_left_behind_by_an_error() {
    // A model that fails in the middle, again and again, while another one works.
    for i in 0..1000 {
        let bad = grad(
            |x| {
                let y = x.exp();
                y.matmul(&Var::lift(&zeros(&[7])))
            },
            &zeros(&[3]),
        );
        assert!(matches!(bad, Err(Error::Shape { .. })));
        let x = Array::scalar(f64::from(i));
        assert_eq!(grad(|x| x.square(), &x).unwrap().item(), 2.0 * f64::from(i));
    }
    let (_, tangent) = jvp(|x: Dual<f64>| x.square(), &3.0f64, &1.0).unwrap();
    assert_eq!(tangent, 6.0);
}

#[test]
fn outside_of_any_entry_point_operators_panic_with_the_same_message() {
    let caught = std::panic::catch_unwind(|| zeros(&[2, 4]).matmul(&zeros(&[5, 1]))).unwrap_err();
    let message = caught.downcast_ref::<String>().unwrap();
    assert!(
        message.starts_with("matmul: cannot multiply [2, 4] by [5, 1] (tests/eager/errors.rs:"),
        "{message}"
    );
}

#[test]
fn an_array_has_at_most_32_axes() {
    let shape = |axes: usize| std::iter::repeat_n(1, axes).collect::<Vec<_>>();
    let most = NdArray::<f64>::ones(&shape(32));
    assert_eq!(most.sum(..).item(), 1.0);
    let error = grad(|x| x.reshape(&shape(33)).sum(..), &NdArray::<f64>::ones(&[1])).unwrap_err();
    assert!(error.to_string().starts_with("reshape: 33 axes are more than the 32"), "{error}");
    assert!(error.to_string().contains("tests/eager/errors.rs"), "{error}");
}

#[test]
fn rules_of_the_users_own_that_do_not_keep_to_what_is_asked_of_them() {
    // One that lets nobody know that the rest of the function failed, and one that never calls it.
    for calls in [true, false] {
        let (failed, line) = (
            grad(
                |x: Var<'_, f64>| {
                    let y = Var::shift([&x], move |[x], k| {
                        if calls {
                            let _ = cps::sin(x, k);
                        }
                        Ok(())
                    });
                    if calls { raise(Error::User("no".into())) } else { y }
                },
                &1.0f64,
            ),
            line!() - 12,
        );
        let error = failed.unwrap_err();
        assert!(matches!(error, Error::Argument { op: "grad", .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("errors.rs:{line}:")), "{error} at {line}");
    }
    // Adjoints of a shape that is not the operand's.
    let x = zeros(&[2, 3]);
    let result = grad(
        |x: Var<'_, Array>| Var::shift([&x], |[x], k| cps::custom([x], zeros(&[]), |_, _| [zeros(&[9])], k)),
        &x,
    );
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Shape { .. }) && error.to_string().contains("errors.rs"), "{error}");
    // A number broadcasts to the operand.
    let ones = grad(
        |x: Var<'_, Array>| Var::shift([&x], |[x], k| cps::custom([x], zeros(&[]), |_, y_bar| [y_bar], k)),
        &x,
    );
    assert_eq!(ones.unwrap(), NdArray::ones(&[2, 3]));
}

#[test]
fn a_hessians_error_is_called_by_its_name() {
    let error = hessian(|x: Var<'_, Dual<Batch<Array>>>| x * 2.0, &zeros(&[2])).unwrap_err();
    assert!(error.to_string().starts_with("hessian: "), "{error}");
}
