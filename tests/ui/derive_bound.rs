use antiphon::{Params, Tensor};

#[derive(Clone, Params)]
struct Linear<T: Tensor> {
    w: T,
}

#[derive(Clone, Params)]
struct Rnn<T>
where
    T: antiphon::Tensor,
{
    w: T,
}

fn main() {}
