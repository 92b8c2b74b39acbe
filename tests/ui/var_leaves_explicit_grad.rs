// Nor can one be taken out of a continuation.
use antiphon::cps;
fn main() {
    let mut kept = None;
    cps::grad(&1.0f64, |x, k| {
        cps::sin(x, |y| {
            kept = Some(y.clone());
            k(y)
        })
    })
    .unwrap();
    println!("{:?}", kept);
}
