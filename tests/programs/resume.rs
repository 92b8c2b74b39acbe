//! A training that is killed and resumed gives the losses of one that is not; and what stops one with an error.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::{example, fail, losses, succeed, write_text};

const STEPS: usize = 300;

fn training(directory: &Path, out: &str, flags: &[&str]) -> Command {
    let mut command = example("char_rnn");
    command.env("ANTIPHON_CACHE", directory.join("cache"));
    command.arg("--text").arg(directory.join("text.txt"));
    command.arg("--out").arg(directory.join(out));
    command.arg("--report").arg(directory.join(out).join("report.json"));
    command.arg("--save").arg(directory.join(out).join("weights.npz"));
    command.args(["--checkpoint-every", "5", "--steps", &STEPS.to_string()]).args(flags);
    command
}

/// Each of several processes would train all, and write the same files.
#[cfg(not(feature = "mpi"))]
#[test]
fn several_processes_do_not_train_without_their_feature() {
    let directory = tempfile::tempdir().unwrap();
    write_text(directory.path());
    for size in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"] {
        let error = fail(training(directory.path(), "out", &[]).env(size, "2"));
        assert_eq!(error, "error: mpi: started as one of 2 processes, but built without the feature `mpi`");
        assert!(!directory.path().join("out").exists());
    }
    succeed(training(directory.path(), "out", &["--steps", "1"]).env("OMPI_COMM_WORLD_SIZE", "1"));
}

/// Kills a training again and again, at moments spread over its steps, checkpoints and outputs, until it gets to its
/// end; `(losses, how often it was killed)`. So many milliseconds lie between the moments.
fn killed_and_resumed(directory: &Path, flags: &[&str], apart: u64) -> (Vec<f64>, usize) {
    let checkpoint = directory.join("killed/checkpoint.safetensors");
    let mut kills = 0;
    // In the order of a full-period generator: a test that fails does so again.
    let mut moment = 7u64;
    loop {
        moment = (moment * 13 + 11) % 32;
        let mut command = training(directory, "killed", flags);
        if checkpoint.exists() {
            command.arg("--resume").arg(&checkpoint);
        }
        let mut child = command.stdout(Stdio::null()).spawn().expect("the example starts");
        let deadline = Instant::now() + Duration::from_millis(5 + moment * apart);
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child of this process") {
                break Some(status);
            }
            // The first run is left alone until it has saved something, so that every later one gets further.
            if Instant::now() >= deadline && checkpoint.exists() && kills < 40 {
                break None;
            }
            sleep(Duration::from_millis(1));
        };
        match status {
            Some(status) => {
                assert!(status.success(), "a resumed training failed");
                return (losses(&directory.join("killed/report.json")), kills);
            }
            None => {
                child.kill().expect("SIGKILL");
                child.wait().expect("a child of this process");
                kills += 1;
            }
        }
    }
}

#[test]
fn killing_and_resuming_changes_no_loss() {
    let lstm = ["--cell", "lstm", "--carry", "--optimizer", "adam", "--lr", "0.003", "--seed", "5"];
    let mut trainings = vec![(lstm.to_vec(), 1), (vec!["--cell", "rnn", "--precision", "f64"], 1)];
    if cfg!(feature = "staging") {
        // Before the first step, that step is recorded.
        trainings.push(([&lstm[..], &["--mode", "compiled"]].concat(), 10));
    }
    for (flags, apart) in trainings {
        let directory = tempfile::tempdir().expect("a temporary directory");
        write_text(directory.path());
        succeed(&mut training(directory.path(), "whole", &flags));
        let whole = losses(&directory.path().join("whole/report.json"));
        assert_eq!(whole.len(), STEPS);
        let (mut resumed, mut kills) = killed_and_resumed(directory.path(), &flags, apart);
        if kills < 3 {
            // A busy machine has looked too late: once more, at once each time.
            fs::remove_dir_all(directory.path().join("killed")).expect("what the first try has left");
            (resumed, kills) = killed_and_resumed(directory.path(), &flags, 0);
        }
        assert!(kills >= 3, "the training was too short to be killed more than {kills} times");
        assert_eq!(resumed, whole, "{flags:?}, killed {kills} times");
        let weights = |out: &str| fs::read(directory.path().join(out).join("weights.npz")).unwrap();
        assert!(weights("killed") == weights("whole"), "{flags:?}: the weights differ");
    }
}

#[test]
fn a_loss_that_is_not_finite_stops_the_training_and_keeps_the_checkpoint() {
    let modes = if cfg!(feature = "staging") { &["eager", "compiled"][..] } else { &["eager"] };
    modes.iter().for_each(|mode| stops_and_keeps_the_checkpoint(mode));
}

fn stops_and_keeps_the_checkpoint(mode: &str) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    write_text(directory.path());
    // Without a limit on the gradients such a learning rate overflows within a few steps.
    let flags =
        [
            &[
                "--cell",
                "rnn",
                "--optimizer",
                "sgd",
                "--lr",
                "1e38",
                "--clip",
                "0",
                "--checkpoint-every",
                "1",
            ][..],
            &["--mode", mode],
        ]
        .concat();
    let message = fail(&mut training_once(directory.path(), &flags));
    let step = message
        .strip_prefix("error: the loss at step ")
        .and_then(|rest| rest.split_once(" is "))
        .unwrap_or_else(|| panic!("{message}"));
    let (step, value): (usize, f64) = (step.0.parse().unwrap(), step.1.parse().unwrap());
    assert!(!value.is_finite());
    // What was saved last is from just before that step, and can be resumed: to the same error.
    let checkpoint = directory.path().join("out/checkpoint.safetensors");
    let metadata = antiphon::io::read_metadata(&checkpoint).expect("the checkpoint is intact");
    assert_eq!(metadata["steps"], step.to_string());
    let again = fail(training_once(directory.path(), &flags).arg("--resume").arg(&checkpoint));
    assert_eq!(again, message);
}

fn training_once(directory: &Path, flags: &[&str]) -> Command {
    let mut command = example("char_rnn");
    command.arg("--text").arg(directory.join("text.txt")).arg("--out").arg(directory.join("out"));
    command.args(["--steps", "60"]).args(flags);
    command
}

#[test]
fn bad_flags_and_files_are_one_line_each() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    write_text(directory.path());
    fs::write(at("short.txt"), "too short").unwrap();
    fs::write(at("empty.txt"), "").unwrap();
    fs::write(at("foreign.npz"), "PK is not all").unwrap();
    succeed(&mut training_once(
        directory.path(),
        &["--hidden", "8", "--steps", "2", "--save", &at("weights.npz")],
    ));
    let checkpoint = at("out/checkpoint.safetensors");
    fs::write(at("half.safetensors"), &fs::read(&checkpoint).unwrap()[..1000]).unwrap();

    let message = |flags: &[&str]| fail(&mut training_once(directory.path(), flags));
    let failing = |flags: &[&str], parts: &[&str]| {
        let message = message(flags);
        for part in parts {
            assert!(message.contains(part), "{flags:?}: {message:?} does not mention {part:?}");
        }
    };
    failing(&["--cell", "elman"], &["elman", "--cell", "rnn, gru, lstm"]);
    for flag in ["--hidden", "--seq", "--batch"] {
        for value in ["0", "-3", "ten", "65537"] {
            failing(&[flag, value], &[flag, value, "from 1 to 65536"]);
        }
    }
    for flag in ["--steps", "--checkpoint-every", "--sample-every"] {
        failing(&[flag, "0"], &[flag, "above zero"]);
    }
    for value in ["fast", "0", "-1", "nan", "inf"] {
        failing(&["--lr", value], &["--lr", value, "above zero"]);
    }
    failing(&["--clip", "-1"], &["--clip"]);
    failing(&["--seed", "-1"], &["--seed", "-1"]);
    failing(&["--optimizer", "newton"], &["newton", "adagrad"]);
    failing(&["--precision", "f16"], &["f16", "f32, f64"]);
    failing(&["--mode", "lazy"], &["lazy", "eager", "compiled"]);
    #[cfg(not(feature = "staging"))]
    failing(&["--mode", "compiled"], &["mode", "LLVM 19", "--features staging"]);
    failing(&["--colour"], &["--colour"]);
    failing(&["--text"], &["--text"]);
    failing(&["--text", &at("none.txt")], &["none.txt", "No such file"]);
    failing(&["--text", &at("empty.txt")], &["empty.txt", "empty"]);
    failing(&["--text", &at("short.txt")], &["short.txt", "9 bytes", "401"]);
    failing(&["--init", &at("none.npz")], &["none.npz", "No such file"]);
    failing(&["--init", &at("foreign.npz")], &["foreign.npz", "not a .npz file"]);
    failing(&["--init", &at("weights.npz")], &["weights.npz", "Wx", "[8]", "50"]);
    failing(&["--cell", "gru", "--hidden", "8", "--init", &at("weights.npz")], &["bhn is missing"]);
    failing(&["--resume", &at("none.safetensors")], &["none.safetensors", "No such file"]);
    failing(&["--resume", &at("half.safetensors")], &["half.safetensors"]);
    failing(&["--resume", &at("weights.npz")], &["weights.npz"]);
    // It claims as many steps as there is no room for.
    let mut metadata = antiphon::io::read_metadata(&checkpoint).unwrap();
    metadata.insert("steps".into(), "9999999999999999".into());
    antiphon::io::save_checkpoint(at("lying.safetensors"), &1.0, &1.0, &metadata).unwrap();
    failing(&["--resume", &at("lying.safetensors")], &["lying.safetensors", "not a checkpoint"]);
    failing(&["--resume", &checkpoint, "--hidden", "9"], &["hidden", "another value"]);
    failing(&["--resume", &checkpoint, "--text", "README.md"], &["resume", "other data"]);
    for flag in ["--report", "--save", "--grads"] {
        failing(&[flag, &at("none/file")], &["none/file", "No such file"]);
        failing(&[flag, &at("text.txt/file")], &["text.txt/file", "not a directory"]);
        failing(&[flag, &at("out")], &["out", "is a directory"]);
    }
    let no_code = if cfg!(feature = "staging") { "only a step with --mode compiled" } else { "LLVM 19" };
    failing(&["--print", "program"], &[no_code]);
    failing(&["--compare", &at("none.json")], &["none.json", "No such file"]);
    failing(&["--compare", &at("text.txt")], &["text.txt", "not the report of a training"]);
    failing(&["--out", &at("text.txt")], &["text.txt"]);
}

#[test]
fn the_report_has_the_documented_shape() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    write_text(directory.path());
    let report = directory.path().join("report.json");
    let flags = ["--cell", "gru", "--precision", "f64", "--sample-every", "30"];
    let said = succeed(training_once(directory.path(), &flags).arg("--report").arg(&report));
    assert!(said.contains("after 30 steps") && said.contains("Trained 60 steps"), "{said}");
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap();
    let keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "cell",
            "compile_ms",
            "loss_unit",
            "losses",
            "mode",
            "model",
            "precision",
            "step_ms_mean",
            "step_ms_median",
            "steps"
        ]
    );
    assert_eq!((&json["model"], &json["cell"]), (&"char_rnn".into(), &"gru".into()));
    assert_eq!((&json["mode"], &json["precision"]), (&"eager".into(), &"f64".into()));
    assert_eq!(json["steps"], 60);
    assert_eq!(json["loss_unit"], serde_json::json!({ "name": "nats a character", "terms": 20 }));
    assert!(json["step_ms_median"].as_f64().unwrap() > 0.0);
    let losses = losses(&report);
    assert_eq!(losses.len(), 60);
    assert!(losses[59] < 0.9 * losses[0], "60 steps should show: {losses:?}");
    let picture = fs::read_to_string(directory.path().join("out/loss.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("polyline"), "the loss curve");
}

#[test]
fn trainings_are_compared() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    write_text(directory.path());
    let at = |name: &str| directory.path().join(name).display().to_string();
    let run = |flags: &[&str]| succeed(training_once(directory.path(), &["--hidden", "8"]).args(flags));
    run(&["--steps", "120", "--report", &at("first.json")]);
    let said = run(&["--steps", "110", "--compare", &at("first.json")]);
    let same =
        "training agree: in the first 100 steps they differ by at most 0 %, in all 110 steps by at most 0 %.";
    assert!(said.contains(same) && said.contains(" times as fast."), "{said}");
    let picture = fs::read_to_string(at("out/comparison.svg")).unwrap();
    assert!(picture.matches("polyline").count() >= 4 && picture.contains("The same over time"), "{picture}");
    let said = run(&["--steps", "20", "--seed", "1", "--compare", &at("first.json")]);
    assert!(said.contains("training do NOT agree: in all 20 steps by at most"), "{said}");
    let other = ["--cell", "lstm", "--compare", &at("first.json")];
    let message = fail(&mut training_once(directory.path(), &other));
    assert!(message.contains("first.json is of another model"), "{message}");
}

/// A checkpoint does not know in which mode it came about.
#[cfg(feature = "staging")]
#[test]
fn a_training_goes_on_in_the_other_mode() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    write_text(directory.path());
    let at = |name: &str| directory.path().join(name).display().to_string();
    let run = |out: &str, mode: &str, steps: &str, more: &[&str]| {
        let report = at(&format!("{out}.json"));
        let mut command = example("char_rnn");
        command.env("ANTIPHON_CACHE", at("cache"));
        command.args(["--text", &at("text.txt"), "--out", &at(out), "--report", &report]);
        command.args(["--mode", mode, "--steps", steps]).args(more);
        succeed(&mut command);
        losses(report.as_ref())
    };
    let flags = ["--cell", "lstm", "--precision", "f64", "--optimizer", "adam", "--lr", "0.01", "--carry"];
    let whole = run("whole", "eager", "30", &flags);
    let compiled =
        run("compiled", "compiled", "30", &[&flags[..], &["--compare", &at("whole.json")]].concat());
    assert!(fs::exists(at("compiled/comparison.svg")).unwrap());
    let alternating = {
        run("mixed", "compiled", "10", &flags);
        let checkpoint = at("mixed/checkpoint.safetensors");
        run("mixed", "eager", "20", &["--resume", &checkpoint]);
        run("mixed", "compiled", "30", &["--resume", &checkpoint])
    };
    assert_eq!(compiled[..10], alternating[..10]);
    for (step, losses) in whole.iter().zip(compiled.iter().zip(&alternating)).enumerate() {
        let (expected, (a, b)) = losses;
        assert!(
            (a - expected).abs() < 1e-9 * expected && (b - expected).abs() < 1e-9 * expected,
            "step {step}: {losses:?}"
        );
    }
    // Within one mode, a training that was interrupted gives the same bits as one that was not.
    run("parts", "compiled", "17", &flags);
    let parts = run("parts", "compiled", "30", &["--resume", &at("parts/checkpoint.safetensors")]);
    assert_eq!(parts, compiled);
    let report: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(at("parts.json")).unwrap()).unwrap();
    assert_eq!(report["mode"], "compiled");
    assert!(report["compile_ms"].as_f64().unwrap() > 0.0);
    assert!(fs::read_dir(at("cache")).unwrap().count() == 1, "all runs share the code of one step");
}

#[cfg(feature = "staging")]
#[test]
fn the_compiled_step_is_printed_in_every_form() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    write_text(directory.path());
    for (form, begin, inside) in [
        ("program", "fn step(", "Wh_bar"),
        ("graph", "digraph program {", "Wh_bar"),
        ("llvm", "; ModuleID", "define void @antiphon_entry"),
        ("assembly", "", "antiphon_entry:"),
    ] {
        let mut command =
            training_once(directory.path(), &["--hidden", "8", "--mode", "compiled", "--print", form]);
        let said = succeed(command.env("ANTIPHON_CACHE", directory.path().join("cache")));
        assert!(said.starts_with(begin) && said.contains(inside), "{form}: {said}");
    }
}

/// Several processes that find a cold cache compile the same step at once, and none is in the way of another.
#[cfg(feature = "staging")]
#[test]
fn processes_that_race_for_a_cold_cache_all_train() {
    const PROCESSES: usize = 4;
    let directory = tempfile::tempdir().expect("a temporary directory");
    write_text(directory.path());
    let at = |name: String| directory.path().join(name);
    let start = |i: usize| {
        let flags = ["--hidden", "8", "--steps", "5", "--mode", "compiled"];
        let mut command = training_once(directory.path(), &flags);
        command.env("ANTIPHON_CACHE", at("cache".into())).stdout(Stdio::null());
        command.arg("--out").arg(at(format!("{i}"))).arg("--report").arg(at(format!("{i}.json")));
        command.spawn().expect("the example starts")
    };
    let racing: Vec<_> = (0..PROCESSES).map(start).collect();
    racing
        .into_iter()
        .for_each(|mut child| assert!(child.wait().expect("a child of this process").success()));
    // And one that finds the code there.
    assert!(start(PROCESSES).wait().expect("a child of this process").success());
    let losses = |i: usize| losses(&at(format!("{i}.json")));
    (1..=PROCESSES).for_each(|i| assert_eq!(losses(i), losses(0)));
    let files: Vec<_> = fs::read_dir(at("cache".into())).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() == 1 && files[0].extension().is_some_and(|end| end == "o"), "{files:?}");
}
