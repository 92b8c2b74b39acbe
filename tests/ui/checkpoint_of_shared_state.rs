// A state of one's own may share what can be written: a checkpoint would leave a variable of its own in it.
use std::cell::RefCell;
use std::rc::Rc;

use antiphon::state::Leaf;
use antiphon::{Control, Real, State, grad};

#[derive(Clone)]
struct Leaking<T>(T, Rc<RefCell<Vec<T>>>);

impl<T: Real> State<T> for Leaking<T> {
    fn flatten(&self, leaves: &mut Vec<Leaf<T>>) {
        leaves.push(Leaf::Real(self.0.clone()));
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> Self {
        Leaking(leaves.next().unwrap().real(), Rc::clone(&self.1))
    }
}

fn model<T: Control>(x: T) -> T {
    T::checkpoint(Leaking(x, Rc::default()), |x: Leaking<T>| {
        x.1.borrow_mut().push(x.0.clone());
        x.0
    })
}

fn main() {
    println!("{:?}", grad(|x| model(x), &1.0));
}
