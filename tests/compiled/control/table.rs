//! The table of functions with control flow, in every derivative mode.

use antiphon::recording::Recorded;
use antiphon::{Dual, OrRaise, Var, grad, hvp, jvp, value_and_grad};

use super::{check, direction, functions};
use crate::case::{ScalarCase, ScalarVisitor};

struct Table {
    cases: usize,
    failures: Vec<String>,
}

impl ScalarVisitor for Table {
    fn visit<C: ScalarCase>(&mut self) {
        self.cases += 1;
        let (points, failures) = (C::POINTS, &mut self.failures);
        let what = |mode: &str| format!("{}, {mode}", C::NAME);
        check(&what("value"), |x| C::call(&x), points, |x| Some(vec![C::jet(x).value]), failures);
        let first = |x: &[f64]| {
            let jet = C::jet(x);
            Some(std::iter::once(jet.value).chain(jet.gradient).collect())
        };
        let reverse = |x: Vec<Recorded>| value_and_grad(|x| C::call(&x), &x).or_raise();
        check(&what("reverse"), reverse, points, first, failures);
        let n = points[0].len();
        let forward = |x: Vec<Recorded>| {
            let along = |i| jvp(|x: Vec<Dual<Recorded>>| C::call(&x), &x, &direction(&x, i)).or_raise();
            let slopes: Vec<Recorded> = (0..n).map(|i| along(i).1).collect();
            (along(0).0, slopes)
        };
        check(&what("forward"), forward, points, first, failures);
        for i in 0..n {
            let column = |x: &[f64]| {
                let hessian = C::jet(x).hessian?;
                Some(hessian.iter().map(|row| row[i]).collect())
            };
            let product = |x: Vec<Recorded>| hvp(|x| C::call(&x), &x, &direction(&x, i)).or_raise().1;
            check(&what("forward over reverse"), product, points, column, failures);
            let gradient_of_slope = |x: Vec<Recorded>| {
                let along: Vec<Recorded> = direction(&x, i);
                grad(
                    |x: Vec<Var<'_, Recorded>>| {
                        let along: Vec<_> = along.iter().map(Var::lift).collect();
                        jvp(|x: Vec<Dual<Var<'_, Recorded>>>| C::call(&x), &x, &along).or_raise().1
                    },
                    &x,
                )
                .or_raise()
            };
            check(&what("reverse over forward"), gradient_of_slope, points, column, failures);
            let gradient_of_gradient = |x: Vec<Recorded>| {
                grad(|x: Vec<Var<'_, Recorded>>| grad(|x| C::call(&x), &x).or_raise()[i].clone(), &x)
                    .or_raise()
            };
            check(&what("reverse over reverse"), gradient_of_gradient, points, column, failures);
        }
    }
}

#[test]
fn the_table_of_control_flow() {
    let mut table = Table { cases: 0, failures: Vec::new() };
    functions::for_each(&mut table);
    assert!(table.cases > 20);
    assert!(table.failures.is_empty(), "{} failures:\n{}", table.failures.len(), table.failures.join("\n"));
}
