//! `shift` and `reset`: operators and control operators of your own.
//!
//! `shift(prompt, |k| …)` stops the body of a `reset` where it stands and hands the rest of it over as `k`.

use antiphon::{Prompt, Real, Result, Var, cps, grad, reset, shift};

/// A differentiable operator: `x³` with its rule, `x̄ += 3x²·ȳ`.
pub(crate) fn cube<'r, T: Real>(x: &Var<'r, T>) -> Var<'r, T> {
    Var::shift([x], |[x], k| {
        let v = x.value().clone();
        cps::custom([x], v.powi(3), |_, y_bar| [(y_bar * v.square()).scale(3.0)], k)
    })
}

/// A control operator: leaves the `reset` with `answer`, and never comes back.
fn exit<'p, A: 'p>(prompt: &'p Prompt<'p, '_, A>, answer: A) -> ! {
    shift(prompt, |_k| Ok(answer))
}

/// Another one: hands `item` out and goes on; what the rest hands out is appended when it is done.
fn give<'p, T: 'p>(prompt: &'p Prompt<'p, '_, Vec<T>>, item: T) {
    shift(prompt, |k| -> cps::Result<Vec<T>> {
        let mut rest = k.resume(())?;
        rest.insert(0, item);
        Ok(rest)
    })
}

fn main() -> Result<()> {
    println!("d/dx x³·sin x at 2 is {:.6}", grad(|x| cube(&x) * x.sin(), &2.0)?);

    let words = ["shift", "reset", "stop", "never seen"];
    let seen = reset(|prompt| {
        let mut letters = 0;
        for word in words {
            if word == "stop" {
                exit(prompt, letters);
            }
            letters += word.len();
        }
        Ok(letters)
    })?;
    println!("letters before the stop: {seen}");

    let squares = reset(|prompt| {
        (1..=5).for_each(|n| give(prompt, n * n));
        Ok(Vec::new())
    })?;
    println!("squares handed out: {squares:?}");
    Ok(())
}
