use antiphon::Params;

#[derive(Clone, Params)]
enum Never<T> {}

fn main() {}
