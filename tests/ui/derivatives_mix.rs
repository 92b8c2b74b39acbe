// An outer variable has to be lifted into an inner derivative of the same type.
fn main() {
    antiphon::grad(|x| antiphon::Var::lift(&antiphon::grad(|y| y * &x, &2.0f64).unwrap()), &1.0f64).unwrap();
}
