//! The example `solvers`: each program does what it is for, in both modes.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{example, fail, succeed};

/// The modes that there are; what takes long is run in the last one.
const MODES: &[&str] = if cfg!(feature = "staging") { &["eager", "compiled"] } else { &["eager"] };

fn fastest() -> &'static str {
    MODES[MODES.len() - 1]
}

/// Runs an example in a directory; its report.
fn run(directory: &Path, name: &str, mode: &str, flags: &[&str]) -> Value {
    let report = directory.join("report.json");
    let mut command = example("solvers");
    command.args(["--example", name, "--mode", mode]).args(flags);
    succeed(command.arg("--report").arg(&report).arg("--out").arg(directory));
    let picture = std::fs::read_to_string(directory.join(format!("{name}.svg"))).unwrap();
    assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
    serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap()
}

fn number(report: &Value, key: &str) -> f64 {
    report[key].as_f64().unwrap_or_else(|| panic!("no {key}"))
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("numbers").iter().map(|x| x.as_f64().expect("a number")).collect()
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// The losses in both modes, which are the same up to rounding.
fn assert_modes_agree(name: &str, key: &str, steps: usize, part: f64) {
    let directory = TempDir::new().unwrap();
    let steps = steps.to_string();
    let of = |mode: &&str| numbers(&run(directory.path(), name, mode, &["--steps", &steps])[key]);
    let all: Vec<Vec<f64>> = MODES.iter().map(of).collect();
    for other in &all[1..] {
        for (a, b) in all[0].iter().zip(other) {
            assert!((a - b).abs() <= part * b.abs(), "{name}: {a} {b}");
        }
    }
    assert_eq!(all[0].len().to_string(), steps);
}

#[test]
fn losses_are_the_same_in_both_modes() {
    assert_modes_agree("hyperparameters", "losses", 5, 1e-9);
    assert_modes_agree("qp", "losses", 3, 1e-9);
    assert_modes_agree("transport", "costs", 2, 1e-6);
}

/// A neural differential equation whose steps follow the error, from the same weights.
#[test]
fn a_neural_differential_equation_trains_alike_in_both_modes() {
    assert_modes_agree("spiral", "losses", 40, 1e-9);
}

#[test]
fn strengths_of_regularisation_are_better_apart() {
    let directory = TempDir::new().unwrap();
    let report = run(directory.path(), "hyperparameters", fastest(), &["--steps", "60"]);
    let best = &report["best_single"];
    let last = |key: &str| *numbers(&report[key]).last().unwrap();
    assert!(last("losses") < 0.9 * number(best, "loss"), "{report}");
    // Of data that neither was chosen by.
    assert!(last("test_losses") < 0.98 * number(best, "test_loss"), "{report}");
    let theta = numbers(&report["theta"]);
    let (informative, noise) = theta.split_at(report["informative"].as_u64().unwrap() as usize);
    assert!(mean(informative) < mean(noise) - 2.0, "{theta:?}");
}

/// The implicit derivative, that of the last step and that of the last five.
#[test]
fn an_equilibrium_layer_learns_digits_with_each_derivative() {
    let directory = TempDir::new().unwrap();
    let of = |mode: &&str| run(directory.path(), "deq", mode, &["--steps", "2"]);
    let modes: Vec<Value> = MODES.iter().map(of).collect();
    for other in &modes[1..] {
        for (a, b) in modes[0]["runs"].as_array().unwrap().iter().zip(other["runs"].as_array().unwrap()) {
            for (a, b) in numbers(&a["losses"]).into_iter().zip(numbers(&b["losses"])) {
                assert!((a - b).abs() < 1e-9 * b, "{a} {b}");
            }
        }
    }
    let report = run(directory.path(), "deq", fastest(), &["--steps", "100"]);
    for run in report["runs"].as_array().unwrap() {
        let accuracy = number(run, "accuracy");
        assert!(accuracy > 0.75, "{}: {accuracy}", run["derivative"]);
        // It is no layer that forgets its beginning at once.
        let most = numbers(&run["layer_steps"]).into_iter().fold(0.0, f64::max);
        assert!(most > 10.0, "{most}");
    }
}

#[test]
fn a_spiral_is_learnt_from_pieces() {
    let directory = TempDir::new().unwrap();
    let report = run(directory.path(), "spiral", fastest(), &["--steps", "300"]);
    let losses = numbers(&report["losses"]);
    assert!(mean(&losses[280..]) < 0.01 * losses[0], "{losses:?}");
    // The steps follow the error.
    let tried = numbers(&report["tried"]);
    assert!(tried.iter().any(|&n| n != tried[0]), "{tried:?}");
}

#[test]
fn a_program_is_learnt_from_its_solutions() {
    let directory = TempDir::new().unwrap();
    let report = run(directory.path(), "qp", fastest(), &["--steps", "260"]);
    assert!(number(&report, "after") < 0.01 * number(&report, "before"), "{report}");
    // One of them has gone to where no solution meets it, and nothing brings it back.
    let limits = numbers(&report["limits"]).into_iter().zip(numbers(&report["true_limits"]));
    assert!(limits.filter(|(a, b)| (a - b).abs() < 0.01).count() >= 5, "{report}");
}

#[test]
fn ten_points_of_any_sinusoid_suffice() {
    let directory = TempDir::new().unwrap();
    let report = run(directory.path(), "meta", fastest(), &["--steps", "120"]);
    assert!(number(&report, "adapted") < 0.4 * number(&report, "untrained"), "{report}");
    assert!(number(&report, "adapted") < 0.4 * number(&report, "unadapted"), "{report}");
}

#[test]
fn a_projectile_is_recovered_from_its_bounces() {
    let directory = TempDir::new().unwrap();
    for mode in MODES {
        let report = run(directory.path(), "projectile", mode, &[]);
        assert!(number(&report, "apart") < 1e-6, "{mode}: {report}");
    }
}

#[test]
fn points_come_to_where_they_are_transported() {
    let directory = TempDir::new().unwrap();
    let report = run(directory.path(), "transport", fastest(), &["--steps", "20"]);
    let costs = numbers(&report["costs"]);
    assert!(number(&report, "cost") < 0.1 * costs[0], "{report}");
    assert!(number(&report, "after") < 0.1 * number(&report, "before"), "{report}");
}

#[test]
fn bad_flags_are_one_line() {
    let message = fail(example("solvers").args(["--example", "qp", "--steps", "0"]));
    assert!(message.contains("--steps") && message.contains("above zero"), "{message}");
    let message = fail(example("solvers").args(["--example", "none"]));
    assert!(message.contains("none") && message.contains("transport"), "{message}");
}
