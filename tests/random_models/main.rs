//! Random models, run eagerly, recorded and interpreted, and compiled: value, gradient and other derivatives agree.
//!
//! A model is a small syntax tree of the calculus: operators, `cond`, `while_loop` and `fix` whose bodies close over
//! what is in scope, conditions and trip counts that are data, shared and dead values. One function, generic over the
//! interpretation, runs it. Models grow from streams of choices, and a failing one is made as small as possible.
//!
//! `MODELS=100000 cargo test --features staging --test random_models` makes a long run of it; `SEED=7` begins at
//! another place, with `MODELS=1` at one that a failure has named. `TRACE=1`, with `--nocapture`, says each seed before
//! it is run.

mod arrays;
mod bounds;
#[path = "../../staging/tests/fuzz/choices.rs"]
mod choices;
mod evaluate;
mod generate;
mod model;
mod operators;
mod patterns;
mod ways;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use choices::{choices, shrink};

use generate::Kind;
use model::Step;
use patterns::check_patterns;
use ways::{Agreement, Case, Precision, check};

/// Choices in a stream: as many as the largest models take, nearly.
const CHOICES: usize = 400;

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// What [`check`] says of a stream; a panic is a failure as well.
fn outcome<E: Precision>(stream: &[u32], kind: Kind) -> Result<Agreement, String> {
    let checked = catch_unwind(AssertUnwindSafe(|| check::<E>(&Case::new(stream, kind))));
    checked.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
    })
}

fn agree<E: Precision>(kind: Kind, first: u64, models: u64) {
    let models = variable("MODELS", models * variable("TIMES", 1));
    let first = variable("SEED", first);
    let trace = std::env::var_os("TRACE").is_some();
    let (mut magnify, mut excused, mut finite, mut runs) = (0, 0, 0, 0);
    for seed in first..first + models {
        if trace {
            eprintln!("SEED={seed}");
        }
        let stream = choices(seed, CHOICES);
        match outcome::<E>(&stream, kind) {
            Ok(agreement) => {
                magnify += u64::from(agreement.magnifies);
                excused += u64::from(agreement.excused);
                finite += agreement.finite[0];
                runs += agreement.finite[1];
            }
            Err(_) => {
                let smallest = shrink(stream, |stream| outcome::<E>(stream, kind).is_err());
                let error = outcome::<E>(&smallest, kind).err().expect("shrinking keeps the failure");
                let Case { model, extra, .. } = Case::new(&smallest, kind);
                panic!("SEED={seed} MODELS=1: {kind:?}, {extra:?}\n{model}\n{error}");
            }
        }
    }
    println!(
        "{models} models, {magnify} of which magnify rounding and {excused} multiply zero tangents by infinity; \
         {finite} of {runs} runs are finite"
    );
    if models >= 100 {
        assert!(magnify <= models / 20, "{magnify} of {models} models are not compared");
        assert!(excused <= models / 50, "{excused} of {models} models are excused");
        assert!(finite > runs / 2, "{finite} of {runs} runs are finite");
    }
}

#[test]
fn models_of_scalars_agree() {
    agree::<f64>(Kind::Scalars, 0, 350);
}

#[test]
fn models_of_arrays_agree() {
    agree::<f64>(Kind::Arrays, 1_000_000, 450);
}

#[test]
fn models_of_arrays_in_single_precision_agree() {
    agree::<f32>(Kind::Arrays, 2_000_000, 200);
}

#[test]
fn patterns_of_models_have_all_entries() {
    let models = variable("MODELS", 300 * variable("TIMES", 1));
    let first = variable("SEED", 3_000_000);
    let [mut found, mut there] = [0, 0];
    for seed in first..first + models {
        let stream = choices(seed, CHOICES);
        let check = |stream: &[u32]| check_patterns(&Case::new(stream, Kind::Arrays));
        match check(&stream) {
            Ok(entries) => (found, there) = (found + entries[0], there + entries[1]),
            Err(_) => {
                let smallest = shrink(stream, |stream| check(stream).is_err());
                let error = check(&smallest).expect_err("shrinking keeps the failure");
                panic!("SEED={seed} MODELS=1:\n{}\n{error}", Case::new(&smallest, Kind::Arrays).model);
            }
        }
    }
    println!("{models} models, whose patterns have {there} entries, {found} of which are not zero");
    if models >= 100 {
        assert!(found > there / 2, "{found} of {there} entries are not zero");
    }
}

#[test]
fn bounds_of_models_hold() {
    let models = variable("MODELS", 1_000 * variable("TIMES", 1));
    let first = variable("SEED", 4_000_000);
    let mut all = bounds::Tally::default();
    for seed in first..first + models {
        let kind = [Kind::Scalars, Kind::Operators, Kind::Arrays, Kind::Operators][(seed % 4) as usize];
        let stream = choices(seed, CHOICES);
        let check = |stream: &[u32]| {
            let checked =
                catch_unwind(AssertUnwindSafe(|| bounds::check_bounds(&Case::new(stream, kind), seed)));
            checked.unwrap_or_else(|panic| Err(panic.downcast_ref::<String>().cloned().unwrap_or_default()))
        };
        match check(&stream) {
            Ok(bounds::Tally { finite, runs, tight }) => {
                (all.finite, all.runs, all.tight) = (all.finite + finite, all.runs + runs, all.tight + tight);
            }
            Err(_) => {
                let smallest = shrink(stream, |stream| check(stream).is_err());
                let error = check(&smallest).err().expect("shrinking keeps the failure");
                panic!("SEED={seed} MODELS=1:\n{}\n{error}", Case::new(&smallest, kind).model);
            }
        }
    }
    let bounds::Tally { finite, runs, tight } = all;
    println!("{runs} domains of {models} models, {finite} of finite constants, {tight} of which are tight");
    if models >= 100 {
        assert!(finite > runs / 4, "{finite} of {runs} constants are finite");
    }
}

#[test]
fn models_have_everything() {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for seed in 0..1000 {
        let mut here: HashMap<&str, usize> = HashMap::new();
        Case::new(&choices(seed, CHOICES), Kind::Arrays).model.body.each(&mut |step| {
            let name = match step {
                Step::Cond { .. } => "cond",
                Step::Loop { until: None, .. } => "loop",
                Step::Loop { .. } => "loop until",
                Step::Fix { .. } => "fix",
                Step::Recurse { .. } => "call",
                _ => "operator",
            };
            here.insert(name, 1);
        });
        here.into_iter().for_each(|(name, one)| *seen.entry(name).or_default() += one);
    }
    println!("{seen:?}");
    for name in ["cond", "loop", "loop until", "fix", "call", "operator"] {
        assert!(seen.get(name).is_some_and(|&count| count > 100), "{name} is rare: {seen:?}");
    }
}
