use antiphon::{Real, Var, grad};

fn square<T: Real>(x: T) -> T {
    x.square()
}

fn main() {
    let _ = grad(square, &2.0);
    let sine = |x: Var<'_, f64>| x.sin();
    let _ = grad(sine, &2.0);
}
