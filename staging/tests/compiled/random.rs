//! Compiled programs mean what the interpreter says.

use std::sync::LazyLock;

use antiphon_staging::jit::processor::Processor;
use antiphon_staging::*;

use crate::fuzz::{Case, choices, collected, generate, shrink};

/// Random programs; `CASES=10000 cargo test` makes a long run of it.
static CASES: LazyLock<u64> =
    LazyLock::new(|| std::env::var("CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(150));

/// Every bit as the interpreter's.
fn strict() -> CompileOptions {
    CompileOptions { strict: true, ..CompileOptions::default() }
}

fn run(
    program: &Program,
    options: &CompileOptions,
    inputs: &[ConcreteTensor],
) -> Result<Vec<ConcreteTensor>> {
    compile(program, options)?.run(inputs)
}

/// What compiled code says that the interpreter does not, if anything.
fn disagreement(stream: &[u32], options: &CompileOptions, optimised: bool) -> Option<String> {
    let Case { mut program, inputs } = generate(stream).expect("the generator's programs verify");
    let (expected, printed) = collected(|| interpret(&program, &inputs));
    if optimised {
        optimise(&mut program, &OptimiseOptions::default());
    }
    let mut compiled = compile(&program, options).expect("generated programs compile");
    // The second run finds in the arena what the first one left.
    let found = [(); 2].map(|()| collected(|| compiled.run(&inputs)));
    let same = found.iter().all(|(found, lines)| match (&expected, found) {
        _ if *lines != printed => false,
        (Ok(expected), Ok(found)) => expected.iter().zip(found).all(|(a, b)| a.same(b)),
        (a, b) => a == b,
    });
    (!same).then(|| format!("{program}\n{inputs:?}\nexpected {expected:?} {printed:?}\nfound {found:?}"))
}

fn agrees(options: &CompileOptions, optimised: bool, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let stream = choices(seed, 400);
        if disagreement(&stream, options, optimised).is_some() {
            let smallest = shrink(stream, |stream| disagreement(stream, options, optimised).is_some());
            let report = disagreement(&smallest, options, optimised);
            panic!("seed {seed}: {}", report.expect("shrinking keeps the disagreement"));
        }
    }
}

#[test]
fn random_programs_give_every_bit_of_the_interpreters_results() {
    agrees(&strict(), false, 0..*CASES);
}

#[test]
fn optimised_random_programs_give_every_bit_of_the_interpreters_results() {
    agrees(&strict(), true, *CASES..2 * *CASES);
}

#[test]
fn random_programs_give_the_same_on_any_processor_of_the_architecture() {
    let options = CompileOptions { target: Processor::portable(), ..strict() };
    agrees(&options, true, 2 * *CASES..2 * *CASES + *CASES / 2);
}

/// Whether two results are the same to a relative error, or both not finite in the same way.
fn close(a: &ConcreteTensor, b: &ConcreteTensor) -> bool {
    let tolerance = if a.dtype() == Dtype::F32 { 1e-4 } else { 1e-10 };
    a.ty() == b.ty()
        && (0..a.size()).all(|i| match (a.at(i).real(), b.at(i).real()) {
            (Some(x), Some(y)) if x.is_finite() && y.is_finite() => {
                (x - y).abs() <= tolerance * (1.0 + x.abs().max(y.abs()))
            }
            (Some(x), Some(y)) => x == y || (x.is_nan() && y.is_nan()),
            _ => a.at(i) == b.at(i),
        })
}

#[test]
fn reassociated_random_programs_agree_to_rounding_but_for_few_that_magnify_it() {
    let mut apart = Vec::new();
    for seed in 0..*CASES {
        let Case { mut program, inputs } = generate(&choices(seed, 400)).expect("generated programs verify");
        let expected = collected(|| interpret(&program, &inputs)).0.expect("generated programs run");
        optimise(&mut program, &OptimiseOptions::default());
        let found = collected(|| run(&program, &CompileOptions::default(), &inputs)).0;
        let found = found.expect("it runs as well");
        if !expected.iter().zip(&found).all(|(a, b)| close(a, b)) {
            apart.push((seed, program.to_string(), format!("{expected:?}\n{found:?}")));
        }
    }
    // Differences of nearly equal numbers, comparisons of them, and the like.
    assert!(apart.len() as u64 <= *CASES / 50, "{} programs: {apart:#?}", apart.len());
}
