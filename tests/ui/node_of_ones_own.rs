//! Where the node of a variable is, only this crate decides.
use antiphon::Real;
use antiphon::node::NodeRef;

#[derive(Clone)]
struct Nowhere;

impl<T: Real> NodeRef<T> for Nowhere {}

fn main() {}
