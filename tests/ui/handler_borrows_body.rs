// A handler outlives the body's frames, so it cannot borrow from them.
use antiphon::{reset, shift};
fn main() {
    reset(|p| {
        let local = 5;
        let x: i32 = shift(p, |k| Ok(k.resume(1)? + *(&local)));
        Ok(x)
    })
    .unwrap();
}
