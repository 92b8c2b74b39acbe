//! The methods behind control flow, on whose order unsafe code relies, can be neither called nor implemented elsewhere.
use antiphon::Control;
use antiphon::sealed::Internal;

fn out_of_order<T: Control>(internal: Internal, f: &mut dyn FnMut()) {
    T::scratch(internal, f);
}

fn main() {}
