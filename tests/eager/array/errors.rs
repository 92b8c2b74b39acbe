//! Misuse is reported with both shapes and the line of the user who called the operator.

use std::panic::{AssertUnwindSafe, catch_unwind};

use antiphon::{Control, Error, IntTensor, Mask, NdArray, NdBool, NdInt, Real, Tensor, Window2d};

/// The message of the panic of `f`.
fn message<R>(f: impl FnOnce() -> R) -> String {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("should have failed"),
        Err(payload) => *payload.downcast::<String>().expect("a message"),
    }
}

#[test]
fn messages_name_the_shapes_and_this_file() {
    let x = |shape: &[usize]| NdArray::<f64>::zeros(shape);
    let ints = |n: usize| NdInt::from_elements(&[n], &vec![9; n]).unwrap();
    let window = Window2d::default();
    type Case<'a> = (&'a str, Box<dyn FnOnce() + 'a>);
    macro_rules! case {
        ($expected:literal, $e:expr) => {
            ($expected, Box::new(|| drop($e)))
        };
    }
    let cases: Vec<Case> = vec![
        case!("add: cannot combine [2, 3] with [4]", x(&[2, 3]) + x(&[4])),
        case!("sub: cannot combine [2, 3] with [4]", x(&[2, 3]) - &x(&[4])),
        case!("mul: cannot combine [2, 3] with [4]", &x(&[2, 3]) * &x(&[4])),
        case!("div: cannot combine [2, 3] with [4]", x(&[2, 3]) / &x(&[4])),
        case!("pow: cannot combine [2] with [3]", x(&[2]).pow(&x(&[3]))),
        case!("maximum: cannot combine [2] with [3]", x(&[2]).maximum(&x(&[3]))),
        case!("minimum: cannot combine [2] with [3]", x(&[2]).minimum(&x(&[3]))),
        case!("less: cannot combine [2] with [3]", x(&[2]).less(&x(&[3]))),
        case!("equal: cannot combine [2] with [3]", x(&[2]).equal(&x(&[3]))),
        case!("select: cannot combine", NdArray::select(&NdBool::scalar(true), &x(&[2]), &x(&[3]))),
        case!("and: cannot combine [2] with [3]", x(&[2]).equal(&x(&[2])).and(&x(&[3]).equal(&x(&[3])))),
        case!("matmul: cannot multiply [2, 4] by [5, 1]", x(&[2, 4]).matmul(&x(&[5, 1]))),
        case!("matmul: cannot multiply [2, 4] by [5]", x(&[2, 4]).matmul(&x(&[5]))),
        case!("matmul: cannot multiply [3, 2, 4] by [2, 4, 1]", x(&[3, 2, 4]).matmul(&x(&[2, 4, 1]))),
        case!("reshape: cannot turn [2, 3] into [7]", x(&[2, 3]).reshape(&[7])),
        case!("permute: [2, 3]: [0, 0] is not a permutation", x(&[2, 3]).permute(&[0, 0])),
        case!("broadcast_to: cannot turn [2] into [3]", x(&[2]).broadcast_to(&[3])),
        case!("sum: [2]: axis 1 is out of range", x(&[2]).sum(1)),
        case!("sum: [2, 2]: an axis is named twice", x(&[2, 2]).sum([0, -2])),
        case!("max: [2, 0]: axis 1 is empty", x(&[2, 0]).max(1)),
        case!("argmax: [0]: axis 0 is empty", x(&[0]).argmax(0)),
        case!("logsumexp: [2]: axis 3 is out of range", x(&[2]).logsumexp(3)),
        case!("concat: cannot combine [2, 3] with [2, 4]", NdArray::concat(&[x(&[2, 3]), x(&[2, 4])], 0)),
        case!("concat: there is nothing to concatenate", NdArray::<f64>::concat(&[], 0)),
        case!("slice: [2]: 1..5 by 1 does not fit axis 0", x(&[2]).slice(0, 1..5)),
        case!("slice: [2]: 0..2 by 0 does not fit axis 0", x(&[2]).slice_step(0, 0..2, 0)),
        case!("pad: []: axis 0 is out of range", x(&[]).pad(0, Default::default())),
        case!("flip: [2]: axis -2 is out of range", x(&[2]).flip(-2)),
        case!(
            "gather_rows: index 9 is out of range for a dimension of length 2",
            x(&[2, 3]).gather_rows(&ints(1))
        ),
        case!(
            "scatter_rows: index 9 is out of range for a dimension of length 4",
            x(&[1, 3]).scatter_rows(&ints(1), 4)
        ),
        case!(
            "gather_last: index 9 is out of range for a dimension of length 3",
            x(&[2, 3]).gather_last(&ints(2))
        ),
        case!(
            "scatter_last: index 9 is out of range for a dimension of length 3",
            x(&[2]).scatter_last(&ints(2), 3)
        ),
        case!("gather_last: cannot combine [2, 3] with [5]", x(&[2, 3]).gather_last(&ints(5))),
        case!("gather_rows: index 9 is out of range", ints(2).gather_rows(&ints(1))),
        case!(
            "conv2d: cannot combine [1, 1, 2, 2] with [1, 1, 3, 3]",
            x(&[1, 1, 2, 2]).conv2d(&x(&[1, 1, 3, 3]), window)
        ),
        case!(
            "conv2d: cannot combine [1, 2, 5, 5] with [1, 1, 3, 3]",
            x(&[1, 2, 5, 5]).conv2d(&x(&[1, 1, 3, 3]), window)
        ),
        case!(
            "conv2d_image: cannot combine",
            x(&[1, 1, 9, 9]).conv2d_image(&x(&[1, 1, 3, 3]), [5, 5], window)
        ),
        case!(
            "conv2d_kernel: cannot combine",
            x(&[1, 1, 5, 5]).conv2d_kernel(&x(&[1, 1, 9, 9]), [3, 3], window)
        ),
        case!("unfold2d: cannot combine", x(&[5, 5]).unfold2d([3, 3], window)),
        case!("fold2d: cannot combine", x(&[1, 1, 9, 2, 2]).fold2d([5, 5], [3, 3], window)),
        case!("uniform: [2]: the seed is not a single integer", NdArray::<f64>::uniform(&[2], &ints(2))),
        case!(
            "cond: [2]: the condition is not a single",
            NdArray::<f64>::cond(&x(&[2]).equal(&x(&[2])), || x(&[]), || x(&[]))
        ),
        case!("add: cannot combine [2] with [3]", ints(2) + ints(3)),
    ];
    for (expected, f) in cases {
        let message = message(f);
        assert!(message.contains(expected), "{message:?} instead of {expected:?}");
        assert!(message.contains("tests/eager/array/errors.rs"), "{message:?} names another place");
    }
}

#[test]
fn constructors_return_their_errors() {
    let error = NdArray::<f64>::from_elements(&[2, 2], &[1.0]).unwrap_err();
    assert!(matches!(&error, Error::Shape { op: "from_elements", .. }));
    assert!(
        error.to_string().contains(concat!(file!(), ":", line!()).rsplit_once(':').unwrap().0),
        "{error}"
    );
    assert!(NdInt::from_elements(&[2], &[1, 2, 3]).is_err());
}

#[test]
fn the_line_is_the_callers() {
    let (x, y) = (NdArray::<f64>::zeros(&[2]), NdArray::zeros(&[3]));
    let line = line!() + 1;
    let message = message(|| x + y);
    assert!(message.contains(&format!("{}:{line}:", file!())), "{message}");
}

#[test]
fn a_failed_accumulation_leaves_nothing_half_done() {
    let x = NdArray::<f64>::zeros(&[2, 2]);
    let ids = NdInt::from_elements(&[2], &[0, 7]).unwrap();
    let data = x.clone();
    let message = message(|| x.scatter_rows(&ids, 2));
    assert!(message.contains("index 7"));
    assert_eq!(data, NdArray::zeros(&[2, 2]));
}
