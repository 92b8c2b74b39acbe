use antiphon::Params;

#[derive(Clone, Params)]
enum Layer<T> {
    Linear(T),
    Identity,
}

fn main() {}
