use antiphon::Params;

#[derive(Params)]
union Bits<T: Copy> {
    x: T,
    bits: u64,
}

fn main() {}
