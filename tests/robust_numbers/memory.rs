//! Arrays that the system has no memory for are errors: under a limit on address space, in a process of its own.

use std::process::Command;

use antiphon::nn::{Init, Rng};
use antiphon::recording::{Recorded, interpret, record};
use antiphon::{Error, Int, NdArray, NdInt, Real, Result, Tensor, Var, Window2d, compile, grad, jvp, stack};

type Array = NdArray<f64>;

/// Set in the process under the limit.
const LIMITED: &str = "ANTIPHON_ROBUST_LIMITED";

/// Elements of 4 GiB, of which the limit has room for one array.
const MANY: usize = 1 << 29;

#[test]
fn where_there_is_no_memory_there_is_an_error() {
    let test = "memory::under_the_limit";
    let program = std::env::current_exe().expect("a running program has a path");
    // 6 GiB, in KiB.
    let script = "ulimit -v 6291456 && exec \"$0\" --exact \"$1\" --nocapture --test-threads=1";
    let output = Command::new("sh")
        .args(["-c", script, program.to_str().expect("a path in UTF-8"), test])
        .env(LIMITED, "1")
        .output()
        .expect("a shell");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("every one was refused"), "{text}");
}

#[track_caller]
fn refused<R>(what: &str, result: Result<R>) {
    match result.err() {
        Some(error @ Error::Memory { bytes, .. }) => {
            assert!(bytes >= MANY, "{what}: {error}");
            assert!(error.to_string().contains("tests/robust_numbers/memory.rs:"), "{what}: {error}");
        }
        Some(error) => panic!("{what}: {error}"),
        None => panic!("{what}: no error"),
    }
    assert_eq!(grad(|x| x.sin(), &0.0).expect("the next one works"), 1.0);
}

/// An operator on plain arrays, in an entry point that returns its error.
fn eager(f: impl FnOnce() -> Array) -> Result<()> {
    let run = grad(
        |one| {
            drop(f());
            one
        },
        &1.0,
    );
    run.map(drop)
}

/// The test above runs this in a process of its own; in another one it has nothing to do.
#[test]
fn under_the_limit() {
    if std::env::var_os(LIMITED).is_none() {
        return;
    }
    stack::configure(64 << 20).expect("a small stack");
    let huge = || Array::zeros(&[MANY]);
    refused("ones", eager(|| Array::ones(&[2, MANY])));
    refused("zeros", eager(|| Array::zeros(&[2, MANY])));
    refused("uniform", eager(|| Array::uniform(&[2 * MANY], &NdInt::constant(1))));
    refused("sample", eager(|| Init::GlorotUniform.sample(&[2, MANY], &mut Rng::new(1))));
    refused("broadcast_to", eager(|| Array::scalar(1.0).broadcast_to(&[2 * MANY])));
    refused("outer product", eager(|| Array::ones(&[1 << 15, 1]).matmul(&Array::ones(&[1, 1 << 15]))));
    refused("outer sum", eager(|| Array::ones(&[1 << 15, 1]) + Array::ones(&[1, 1 << 15])));
    refused(
        "pad",
        eager(|| Array::ones(&[1]).pad(0, antiphon::Padding { after: 2 * MANY, ..Default::default() })),
    );
    refused("scatter_rows", eager(|| Array::ones(&[1]).scatter_rows(&NdInt::from(vec![0]), 2 * MANY)));
    refused(
        "unfold2d",
        eager(|| Array::ones(&[1, 1, 1 << 15, 1 << 15]).unfold2d([2, 2], Window2d::default())),
    );
    let wide = Window2d { padding: [1 << 15; 2], stride: [1, 1] };
    refused("conv2d", eager(|| Array::ones(&[1, 1, 1, 1]).conv2d(&Array::ones(&[1, 1, 1, 1]), wide)));
    // In place of a result of the operand's size.
    let x = huge();
    refused("exp", eager(|| x.exp()));
    refused("neg", eager(|| -&x));
    refused("a product with a number", eager(|| &x * 2.0));
    refused("concat", eager(|| Array::concat(&[x.clone(), x.clone()], 0)));
    refused("forward", jvp(|x| x.exp().slice(0, 0..1), &x, &x));
    refused("reverse", grad(|x| x.exp().slice(0, 0..1).sum(..), &x));
    // Only on the way back.
    refused("the adjoint of a slice", grad(|x| x.slice(0, 0..1).sum(..), &x));
    refused(
        "the adjoint of a slice, of a slice",
        grad(|x: Var<'_, Array>| x.slice(0, 0..2).slice(0, 0..1).sum(..), &x),
    );
    refused("an input without influence", grad(|_| Var::constant(1.0), &x));
    drop(x);
    let wide = |x: Recorded| x.broadcast_to(&[2 * MANY]);
    let program = record("f", wide, &Array::scalar(1.0)).expect("a program is small");
    refused("an interpreted result", interpret(&program, &Array::scalar(1.0)));
    // Compiled code computes in memory of its own, which is less.
    let compiled = compile("f", wide, &Array::scalar(1.0));
    assert!(compiled.and_then(|mut compiled| compiled.call(&Array::scalar(1.0))).is_err());
    println!("every one was refused");
}
