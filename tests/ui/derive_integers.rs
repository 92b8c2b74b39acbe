use antiphon::{Params, Real};

#[derive(Clone, Params)]
struct Batch<T: Real> {
    images: T,
    labels: T::Int,
}

#[derive(Clone, Params)]
struct Masked<T: Real> {
    images: T,
    masks: Vec<Option<<T as Real>::Bool>>,
}

fn main() {}
