// A variable cannot be taken out of its derivative.
fn main() {
    let mut kept = None;
    antiphon::grad(
        |x| {
            kept = Some(x.clone());
            x
        },
        &1.0f64,
    )
    .unwrap();
    println!("{:?}", kept);
}
