// A continuation can be called once.
use antiphon::{reset, shift};
fn main() {
    reset(|p| Ok(shift(p, |k| Ok(k.resume(1)? + k.resume(2)?)))).unwrap();
}
