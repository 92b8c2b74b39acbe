use antiphon::*;
#[test] fn closures() {
    assert_eq!(grad(|x| x.clone() * x.clone() * x, &2.0f64).unwrap(), 12.0);
    assert_eq!(grad(|x| grad(|y| y.powi(3), &x).unwrap(), &2.0f64).unwrap(), 12.0);
    assert_eq!(grad(|(x, y)| x.clone() * &y + x.sin(), &(2.0f64, 3.0f64)).unwrap(), (3.0 + 2f64.cos(), 2.0));
    assert_eq!(jvp(|x| x.powi(3), &2.0f64, &1.0).unwrap(), (8.0, 12.0));
    assert_eq!(hvp(|x| x.powi(3), &2.0f64, &1.0).unwrap(), (12.0, 12.0));
}
#[test] fn million() {
    std::thread::Builder::new().stack_size(2<<20).spawn(|| {
    let t = std::time::Instant::now();
    let g = grad(|x| { let mut y = x.clone(); for _ in 0..1_000_000 { y = y * &x; } y }, &1.0f64).unwrap();
    eprintln!("{:?}", t.elapsed());
    assert_eq!(g, 1_000_001.0);
    let t = std::time::Instant::now();
    let g = grad(|x| { let mut y = x.clone(); for _ in 0..1_000_000 { y = y * &x; } y }, &1.0f64).unwrap();
    eprintln!("{:?} {g}", t.elapsed());
    let t = std::time::Instant::now();
    fn go(n: usize, y: &Var<'_, f64>, x: &Var<'_, f64>, k: cps::Return<'_, f64>) -> cps::Result<()> {
        if n == 0 { return k(y) } cps::mul(y, x, |y| go(n - 1, y, x, k)) }
    let g = cps::grad(&1.0f64, |x, k| go(1_000_000, x, x, k)).unwrap();
    eprintln!("explicit {:?} {g}", t.elapsed());
    }).unwrap().join().unwrap();
}
