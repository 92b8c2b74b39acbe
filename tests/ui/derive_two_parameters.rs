use antiphon::Params;

#[derive(Clone, Params)]
struct Layer<T, Activation> {
    w: T,
    activation: Activation,
}

fn main() {}
