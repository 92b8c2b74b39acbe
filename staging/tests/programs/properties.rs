//! Facts about random programs.

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::LazyLock;

use antiphon_staging::*;

use crate::fuzz::{Case, choices, collected, generate, shrink};

/// Random programs for each property; `CASES=100000 cargo test` makes a long run of it.
static CASES: LazyLock<u64> =
    LazyLock::new(|| std::env::var("CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(4000));

fn case(stream: &[u32]) -> Case {
    generate(stream).expect("the generator's programs verify")
}

#[test]
fn generated_programs_verify_and_run() {
    let (mut seen, mut printed) = ([0usize; 5], 0);
    let mut operators = HashSet::new();
    for seed in 0..*CASES {
        let Case { program, inputs } = case(&choices(seed, 400));
        let (run, lines) = collected(|| interpret(&program, &inputs));
        run.unwrap_or_else(|error| panic!("{error}\n{program}"));
        printed += usize::from(!lines.is_empty());
        operators.extend(program.exprs().iter().map(|expr| expr.name()));
        let text = program.to_string();
        for (count, feature) in seen.iter_mut().zip(["if ", "join(", "recur(", "take ", "matmul("]) {
            *count += usize::from(text.contains(feature));
        }
    }
    for count in seen.into_iter().chain([printed]) {
        assert!(count > *CASES as usize / 20, "a feature is rare: {seen:?}, {printed}");
    }
    let few = [
        "conv2d",
        "conv2d_image",
        "conv2d_kernel",
        "unfold2d",
        "scatter_rows",
        "set_rows",
        "add_rows",
        "scatter_last",
        "gather_last",
    ];
    for operator in few {
        assert!(operators.contains(operator), "no {operator}");
    }
    assert!(operators.len() >= 55, "{operators:?}");
}

#[test]
fn shrinking_finds_the_smallest_program_with_a_property() {
    let has_tanh = |stream: &[u32]| case(stream).program.to_string().contains("tanh(");
    // It may come to an end at a program of which no part can be left out: of few streams.
    let streams = (0..).map(|seed| choices(seed, 400)).filter(|stream| has_tanh(stream)).take(8);
    let lengths: Vec<usize> = streams.map(|stream| case(&shrink(stream, has_tanh)).program.len()).collect();
    assert!(lengths.iter().filter(|&&length| length <= 4).count() >= 5, "{lengths:?}");
}

/// What is wrong with a pass on a case, if anything.
fn disagreement(stream: &[u32], pass: &str, change: impl Fn(&mut Program)) -> Option<String> {
    let Case { program, inputs } = case(stream);
    let mut changed = program.clone();
    change(&mut changed);
    let report = |what: String| Some(format!("{pass}: {what}\nbefore:\n{program}\nafter:\n{changed}"));
    if let Err(error) = verify(&changed) {
        return report(error.to_string());
    }
    let run = |program| collected(|| interpret(program, &inputs));
    let ((expected, before), (found, after)) = (run(&program), run(&changed));
    let (Ok(expected), Ok(found)) = (&expected, &found) else {
        return report(format!("{expected:?} became {found:?}"));
    };
    if before != after {
        return report(format!("what is printed, {before:#?}, became {after:#?}"));
    }
    match expected.iter().zip(found).find(|(expected, found)| !expected.same(found)) {
        Some((expected, found)) => report(format!("{expected:?} became {found:?}")),
        None => None,
    }
}

fn preserves(pass: &str, change: impl Fn(&mut Program), seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let stream = choices(seed, 400);
        if disagreement(&stream, pass, &change).is_some() {
            let smallest = shrink(stream, |stream| disagreement(stream, pass, &change).is_some());
            panic!("{}", disagreement(&smallest, pass, &change).expect("shrinking keeps the disagreement"));
        }
    }
}

#[test]
fn each_pass_preserves_every_bit() {
    for (name, run) in optimise::PASSES.into_iter().chain(optimise::LAST) {
        let changes = Cell::new(0);
        let change = |program: &mut Program| {
            let changed = run(program, &OptimiseOptions { reassociate: false });
            changes.set(changes.get() + u64::from(changed));
        };
        preserves(name, change, 0..*CASES / 4);
        let idle = ["like_terms", "tiles", "defer", "align"].contains(&name);
        assert!(idle || changes.get() > *CASES / 200, "{name} changed only {} programs", changes.get());
    }
}

#[test]
fn all_passes_together_preserve_every_bit() {
    preserves("all", |program| _ = optimise(program, &OptimiseOptions::default()), 0..*CASES);
}

#[test]
fn optimised_programs_have_nothing_left_to_do() {
    let mut in_place = 0;
    for seed in 0..*CASES / 4 {
        let Case { mut program, .. } = case(&choices(seed, 400));
        let first = optimise(&mut program, &OptimiseOptions::default());
        assert!(first.rounds < 20, "{} rounds for\n{program}", first.rounds);
        // What the last passes leave is not gone over again.
        if has_arrays_in_place(&program) {
            in_place += 1;
            continue;
        }
        let again = optimise(&mut program, &OptimiseOptions::default());
        assert_eq!((again.rounds, again.before), (1, again.after), "{program}");
    }
    assert!(in_place < *CASES / 40, "{in_place} programs");
}

/// Whether all versions of some array are in one cell.
fn has_arrays_in_place(program: &Program) -> bool {
    let stmts = program.reachable().into_iter().flat_map(|block| &program.blocks[block].stmts);
    let written =
        |stmt: &Stmt| matches!(stmt, Stmt::Accumulate(_, Update::Replace(_) | Update::Write { .. }));
    stmts.into_iter().any(written)
}
