use antiphon::{Control, Real, grad};

/// Rust's own `if` on a truth value of the model.
fn relu<T: Control>(x: T) -> T {
    if x.less(&T::constant(0.0)) { T::constant(0.0) } else { x }
}

fn main() {
    let _ = grad(|x| (x.square(), x), &2.0);
    let _ = relu(2.0);
}
