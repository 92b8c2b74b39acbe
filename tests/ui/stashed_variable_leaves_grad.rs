//! A place for variables that outlives the derivative does not take them.
use std::cell::RefCell;

use antiphon::{Var, grad};

fn main() {
    let stash: RefCell<Option<Var<'_, f64>>> = RefCell::new(None);
    let _ = grad(
        |x| {
            *stash.borrow_mut() = Some(x.clone());
            x
        },
        &1.0,
    );
    drop(stash);
}
