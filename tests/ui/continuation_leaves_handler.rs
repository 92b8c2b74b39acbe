// A continuation cannot be kept beyond its handler.
use antiphon::{Continuation, reset, shift};
fn main() {
    let kept: std::cell::RefCell<Option<Continuation<'_, i32, i32>>> = Default::default();
    reset(|p| {
        Ok(shift(p, |k| {
            *kept.borrow_mut() = Some(k);
            Ok(0)
        }))
    })
    .unwrap();
}
