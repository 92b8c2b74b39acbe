use antiphon::Params;

#[derive(Clone, Params)]
struct Point {
    x: f64,
}

fn main() {}
