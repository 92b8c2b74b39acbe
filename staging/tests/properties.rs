//! Facts about random programs.

use std::collections::HashSet;

use antiphon_staging::fuzz::{Case, choices, generate, shrink};
use antiphon_staging::*;

const CASES: u64 = 4000;

fn case(stream: &[u32]) -> Case {
    generate(stream).expect("the generator's programs verify")
}

#[test]
fn generated_programs_verify_and_run() {
    let mut seen = [0usize; 5];
    let mut operators = HashSet::new();
    for seed in 0..CASES {
        let Case { program, inputs } = case(&choices(seed, 400));
        interpret(&program, &inputs).unwrap_or_else(|error| panic!("{error}\n{program}"));
        operators.extend(program.exprs().iter().map(|expr| expr.name()));
        let text = program.to_string();
        for (count, feature) in seen.iter_mut().zip(["if ", "join(", "recur(", "take ", "matmul("]) {
            *count += usize::from(text.contains(feature));
        }
    }
    for count in seen {
        assert!(count > CASES as usize / 20, "a feature is rare: {seen:?}");
    }
    let few = [
        "conv2d",
        "conv2d_image",
        "conv2d_kernel",
        "unfold2d",
        "scatter_rows",
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
    let stream = (0..).map(|seed| choices(seed, 400)).find(|stream| has_tanh(stream)).expect("some use tanh");
    let smallest = case(&shrink(stream, has_tanh)).program;
    assert!(smallest.len() <= 4, "{smallest}");
}
