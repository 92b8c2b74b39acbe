use antiphon::*;
fn main() {
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    for _ in 0..5 {
    let reps = (2_000_000 / n).max(1);
    let t = std::time::Instant::now();
    for _ in 0..reps {
    std::hint::black_box(grad(|x| { let mut y = x.clone(); for _ in 0..n { y = y * &x; } y }, &1.0f64).unwrap());}
    println!("direct {:?}/op", t.elapsed() / (n * reps) as u32);
    fn go(n: usize, y: &Var<'_, f64>, x: &Var<'_, f64>, k: cps::Return<'_, f64>) -> cps::Result<()> {
        if n == 0 { return k(y) } cps::mul(y, x, |y| go(n - 1, y, x, k)) }
    let t = std::time::Instant::now();
    for _ in 0..reps {
    std::hint::black_box(cps::grad(&1.0, |x, k| go(n, x, x, k)).unwrap());}
    println!("explicit {:?}/op", t.elapsed() / (n * reps) as u32);
    }
}
