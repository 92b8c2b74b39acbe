//! The ways to run a recorded function, and when their results agree.

use antiphon_staging::jit::{CompileOptions, compile};
use antiphon_staging::{ConcreteTensor, Data, OptimiseOptions, Program, interpret, optimise};

/// How far results may lie apart where bits need not agree.
#[derive(Clone, Copy)]
pub struct Bound {
    /// Relative to the larger of a number and, where terms may have cancelled, [`CANCELLED`] times the largest number
    /// of the same result.
    pub relative: f64,
}

/// Code that is compiled for speed: sums in another order, fused products, elementary functions of its own.
pub const FAST: Bound = Bound { relative: 1e-13 };
/// What is left of terms that cancel, relative to the largest number of a result.
const CANCELLED: f64 = 1e-2;

/// Holds the five ways of a table of functions to each other.
#[derive(Default)]
pub struct Ways {
    pub functions: usize,
    failures: Vec<String>,
    /// The worst eager and the worst fast result, in units of the bound.
    worst: [(f64, String); 2],
}

/// A run's results in the order of the program's outputs.
type Results = Vec<Vec<f64>>;

impl Ways {
    /// Runs a program in four ways at each of the inputs, and compares with what it gives eagerly.
    pub fn check(
        &mut self,
        name: &str,
        program: &Program,
        runs: &[(Vec<ConcreteTensor>, Results)],
        eager: Bound,
    ) {
        self.functions += 1;
        let mut optimised = program.clone();
        optimise(&mut optimised, &OptimiseOptions::default());
        let strict = CompileOptions { strict: true, ..CompileOptions::default() };
        let compiled = [
            ("compiled", program, &strict),
            ("optimised and compiled", &optimised, &strict),
            ("compiled for speed", &optimised, &CompileOptions::default()),
        ];
        let mut compiled = compiled.map(|(way, program, options)| (way, compile(program, options)));
        for (x, expected) in runs {
            let at = || format!("{name} at {:?}", x.iter().map(numbers).collect::<Vec<_>>());
            let reference = match interpret(program, x) {
                Ok(results) => results.iter().map(numbers).collect::<Results>(),
                Err(error) => return self.failures.push(format!("{}: {error}", at())),
            };
            self.close(0, &format!("{}, eagerly", at()), expected, &reference, eager);
            let found = interpret(&optimised, x).map_err(|error| error.to_string());
            self.check_results(&format!("{}, optimised", at()), found, &reference);
            for (way, compiled) in &mut compiled {
                let found = match compiled {
                    Ok(compiled) => compiled.run(x).map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                let what = format!("{}, {way}", at());
                match found {
                    Ok(found) if *way == "compiled for speed" => {
                        self.close(1, &what, &found.iter().map(numbers).collect(), &reference, FAST);
                    }
                    found => self.check_results(&what, found, &reference),
                }
            }
        }
    }

    /// That a way gives the same bits. NaN is NaN.
    fn check_results(&mut self, what: &str, found: Result<Vec<ConcreteTensor>, String>, expected: &Results) {
        let found = match found {
            Ok(found) => found.iter().map(numbers).collect::<Results>(),
            Err(error) => return self.fail(format!("{what}: {error}")),
        };
        let equal = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        let mut pairs = found.iter().flatten().zip(expected.iter().flatten());
        if lengths(&found) != lengths(expected) || !pairs.all(equal) {
            self.fail(format!("{what}: {found:?}, not {expected:?}"));
        }
    }

    /// That a way gives the same within a bound.
    fn close(&mut self, kind: usize, what: &str, found: &Results, expected: &Results, bound: Bound) {
        if lengths(found) != lengths(expected) {
            return self.fail(format!("{what}: {found:?}, not {expected:?}"));
        }
        for (found, expected) in found.iter().zip(expected) {
            let largest = expected.iter().filter(|x| x.is_finite()).fold(1.0, |m: f64, x| m.max(x.abs()));
            for (&a, &b) in found.iter().zip(expected) {
                if a == b || (a.is_nan() && b.is_nan()) {
                    continue;
                }
                let error = (a - b).abs() / (bound.relative * b.abs().max(CANCELLED * largest));
                if error.is_nan() || error > 1.0 {
                    self.fail(format!("{what}: {found:?}, not {expected:?}"));
                }
                if error > self.worst[kind].0 {
                    self.worst[kind] = (error, format!("{what}: {a:?}, not {b:?}"));
                }
            }
        }
    }

    pub fn fail(&mut self, what: String) {
        self.failures.push(what);
    }

    /// Fails the test if there was a difference, or there were fewer functions than the table is known to have.
    pub fn finish(self, at_least: usize) {
        for (kind, (error, what)) in ["eager", "fast"].iter().zip(&self.worst) {
            println!("worst {kind}: {error:.3} of the bound; {what}");
        }
        assert!(self.functions >= at_least, "{} functions only", self.functions);
        let count = self.failures.len();
        assert!(self.failures.is_empty(), "{count} failures:\n{}", self.failures.join("\n"));
    }
}

fn lengths(results: &Results) -> Vec<usize> {
    results.iter().map(Vec::len).collect()
}

fn numbers(x: &ConcreteTensor) -> Vec<f64> {
    match x.data() {
        Data::F64(x) => x.clone(),
        data => panic!("a result in double precision, and not {data:?}"),
    }
}
