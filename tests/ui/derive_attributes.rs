use antiphon::Params;

#[derive(Clone, Params)]
struct Unknown<T> {
    #[params(rename = "Wx")]
    w: T,
}

#[derive(Clone, Params)]
struct Configuration<T> {
    #[params(name = "n")]
    size: usize,
    w: T,
}

#[derive(Clone, Params)]
struct Empty<T> {
    #[params(name = "")]
    w: T,
}

fn main() {}
