//! The examples `tree_lstm`, `cnn`, `mlp` and `transformer` against independent implementations in NumPy
//! (`tests/reference`), from the same initial weights on the same data; what they learn; and how they fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{example, fail, losses, python, read_npz, succeed, write_text};
use tempfile::TempDir;

/// Data for all models, as files.
struct Data(TempDir);

impl Data {
    fn new(count: usize) -> Data {
        let data = Data(tempfile::tempdir().expect("a temporary directory"));
        let mut make = example("make_data");
        for name in ["images", "labels", "trees"] {
            make.arg(format!("--{name}")).arg(data.path(name));
        }
        succeed(make.args(["--count", &count.to_string(), "--seed", "7"]));
        write_text(data.0.path());
        data
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The flags by which a model finds its data.
    fn flags(&self, model: &str) -> Vec<String> {
        let names: &[(&str, &str)] = match model {
            "tree_lstm" => &[("--trees", "trees")],
            "transformer" => &[("--text", "text.txt")],
            _ => &[("--images", "images"), ("--labels", "labels")],
        };
        names
            .iter()
            .flat_map(|(flag, name)| [flag.to_string(), self.path(name).display().to_string()])
            .collect()
    }

    fn example(&self, model: &str, flags: &[&str]) -> Command {
        let mut command = example(model);
        command.args(self.flags(model)).arg("--out").arg(self.path("out")).args(flags);
        command
    }

    fn reference(&self, model: &str, flags: &[&str]) -> Command {
        let mut command = Command::new(python());
        command.env("OPENBLAS_NUM_THREADS", "1");
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
        command.arg(directory.join(format!("{model}.py"))).args(self.flags(model)).args(flags);
        command
    }

    /// Trains both sides for 50 steps, ours in this mode. The differences of the first step's gradients, relative to
    /// the largest element of their array, and of the losses; each the largest.
    fn compare(&self, model: &str, mode: &str, precision: &str, flags: &[&str], only: &[&str]) -> (f64, f64) {
        let at = |name: &str| self.path(name).display().to_string();
        let (init, side) =
            (at("init.npz"), |side: &str| (at(&format!("{side}.npz")), at(&format!("{side}.json"))));
        let ((ours, our_report), (theirs, their_report)) = (side("ours"), side("theirs"));
        let all = [&["--steps", "50", "--precision", precision, "--init", &init], flags].concat();
        let outputs = ["--grads", &theirs, "--report", &their_report, "--make-init"];
        succeed(&mut self.reference(model, &[&all[..], &outputs, only].concat()));
        succeed(&mut self.example(
            model,
            &[&all[..], &["--mode", mode, "--grads", &ours, "--report", &our_report]].concat(),
        ));
        let (a, b) = (losses(Path::new(&our_report)), losses(Path::new(&their_report)));
        assert_eq!((a.len(), b.len()), (50, 50));
        let apart = a.iter().zip(&b).map(|(a, b)| ((a - b) / b).abs()).fold(0.0, f64::max);
        let read = |path: &str| match precision {
            "f64" => read_npz(Path::new(path)),
            _ => crate::support::read_npz_f32(Path::new(path)),
        };
        let (a, b) = (read(&ours), read(&theirs));
        assert!(a.keys().eq(b.keys()), "{:?} and {:?}", a.keys(), b.keys());
        let mut worst = 0.0f64;
        for (name, b) in &b {
            let scale = b.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
            assert!(scale > 0.0, "{model}: the reference's gradient of {name} is zero");
            let difference = a[name].iter().zip(b).fold(0.0, |m: f64, (x, y)| m.max((x - y).abs()));
            worst = worst.max(difference / scale);
        }
        (worst, apart)
    }
}

/// How the examples run their steps, where they are built with the feature `staging` or without it.
const MODES: &[&str] = if cfg!(feature = "staging") { &["eager", "compiled"] } else { &["eager"] };

/// Each model with flags that make it small, and its batch odd.
const MODELS: [(&str, &[&str]); 5] = [
    ("tree_lstm", &["--hidden", "9", "--embedding", "11"]),
    ("tree_lstm", &["--hidden", "9", "--embedding", "11", "--batch", "7"]),
    ("cnn", &["--batch", "7"]),
    ("mlp", &["--batch", "13"]),
    ("transformer", &["--batch", "3", "--seq", "14", "--width", "12", "--heads", "3"]),
];

#[test]
fn gradients_and_losses_agree_in_double_precision() {
    let data = Data::new(60);
    for (model, flags) in MODELS {
        for mode in MODES {
            let (gradients, losses) = data.compare(model, mode, "f64", flags, &[]);
            assert!(gradients <= 1e-10 && losses <= 1e-9, "{model}, {mode}: {gradients:e}, {losses:e}");
        }
    }
    let (gradients, losses) = data.compare("tree_lstm", "eager", "f64", MODELS[0].1, &["--node-by-node"]);
    assert!(gradients <= 1e-10 && losses <= 1e-9, "node by node: {gradients:e}, {losses:e}");
    for optimizer in ["sgd", "adagrad", "adam"] {
        let flags = ["--batch", "13", "--optimizer", optimizer, "--lr", "0.01"];
        for mode in MODES {
            let (gradients, losses) = data.compare("mlp", mode, "f64", &flags, &[]);
            assert!(gradients <= 1e-10 && losses <= 1e-9, "{optimizer}, {mode}: {gradients:e}, {losses:e}");
        }
    }
}

#[test]
fn gradients_and_losses_agree_in_single_precision() {
    let data = Data::new(60);
    for (model, flags) in MODELS {
        for mode in MODES {
            let (gradients, losses) = data.compare(model, mode, "f32", flags, &[]);
            assert!(gradients <= 1e-4 && losses <= 1e-3, "{model}, {mode}: {gradients:e}, {losses:e}");
            assert!(losses > 0.0, "{model}, {mode}: two implementations cannot round alike 50 times over");
        }
    }
}

fn accuracy(report: &Path, what: &str) -> f64 {
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap();
    json["accuracy"][what].as_f64().unwrap_or_else(|| panic!("no {what} in {}", json["accuracy"]))
}

/// `make peers` shows no time of an opponent whose gradients or losses are not the others', even if they are no
/// numbers.
#[test]
fn the_peers_are_refused_if_they_disagree() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/self_check.py");
    assert_eq!(succeed(Command::new(python()).arg(script)), "");
}

#[test]
fn generated_data_is_learnt() {
    let data = Data(tempfile::tempdir().expect("a temporary directory"));
    let report = data.path("report.json");
    let learn = |model: &str, flags: &[&str]| {
        let mut command = example(model);
        command.arg("--out").arg(data.path("out")).arg("--report").arg(&report).args(flags);
        succeed(&mut command)
    };
    // Negations and intensifiers of held-out sentences are understood: guessing the commonest label gets 30 % of them.
    let flags = ["--hidden", "24", "--embedding", "16", "--generate", "880", "--steps", "3600"];
    let said = learn("tree_lstm", &flags);
    assert!(said.contains("roots, fine"), "{said}");
    assert!(accuracy(&report, "roots, fine") > 0.9, "{said}");
    assert!(accuracy(&report, "all nodes, binary") > 0.95, "{said}");
    let said = learn("mlp", &["--draw", "2400", "--steps", "400"]);
    assert!(accuracy(&report, "held-out images") > 0.9, "{said}");
    let said = learn("cnn", &["--draw", "2400", "--batch", "40", "--steps", "250"]);
    assert!(accuracy(&report, "held-out images") > 0.97, "{said}");
}

/// Where each letter is spoken nobody says; words that were never heard are read.
#[test]
fn words_of_tones_are_transcribed() {
    let data = Data(tempfile::tempdir().expect("a temporary directory"));
    let report = data.path("report.json");
    let listen = |mode: &str, flags: &[&str]| {
        let mut command = example("speech");
        command.arg("--out").arg(data.path("out")).arg("--report").arg(&report);
        succeed(command.args(["--mode", mode]).args(flags))
    };
    let few = ["--precision", "f64", "--steps", "5", "--batch", "3", "--hidden", "7", "--layers", "1"];
    let of_modes = MODES.iter().map(|mode| {
        listen(mode, &few);
        losses(&report)
    });
    let of_modes: Vec<Vec<f64>> = of_modes.collect();
    for other in &of_modes[1..] {
        let apart = of_modes[0].iter().zip(other).map(|(a, b)| (a / b - 1.0).abs()).fold(0.0, f64::max);
        assert!(apart < 1e-10, "{of_modes:?}");
    }
    let said = listen(MODES[MODES.len() - 1], &["--hidden", "32", "--steps", "200"]);
    assert!(said.contains(" → "), "{said}");
    for how in ["words, read greedily", "words, by beam search"] {
        assert!(accuracy(&report, how) > 0.8, "{said}");
    }
}

#[test]
fn a_resumed_training_goes_on_as_if_nothing_had_been() {
    let data = Data::new(60);
    let report = data.path("report.json");
    for (model, flags) in MODELS {
        let run = |more: &[&str]| {
            succeed(data.example(model, &[flags, more].concat()).arg("--report").arg(&report));
            losses(&report)
        };
        let weights = |name: &str| data.path(name).display().to_string();
        let whole = run(&["--steps", "20", "--save", &weights("whole.npz")]);
        run(&["--steps", "11"]);
        let checkpoint = data.path("out/checkpoint.safetensors").display().to_string();
        let resumed = run(&["--steps", "20", "--resume", &checkpoint, "--save", &weights("resumed.npz")]);
        assert_eq!(whole, resumed, "{model}");
        if MODES.contains(&"compiled") {
            run(&["--steps", "11"]);
            let compiled = run(&["--steps", "20", "--resume", &checkpoint, "--mode", "compiled"]);
            let apart = whole.iter().zip(&compiled).map(|(a, b)| (a / b - 1.0).abs()).fold(0.0, f64::max);
            assert!(apart < 1e-3, "{model}, compiled after 11 steps: {apart:e}");
        }
        let [whole, resumed] = ["whole.npz", "resumed.npz"].map(|name| fs::read(data.path(name)).unwrap());
        assert!(whole == resumed, "{model}: the weights differ");
        let message = fail(&mut data.example(model, &["--resume", &checkpoint, "--seed", "3"]));
        assert!(message.contains("another value of seed"), "{message}");
        let other = if model == "mlp" { "cnn" } else { "mlp" };
        let message = fail(&mut data.example(other, &["--resume", &checkpoint]));
        assert!(message.contains(&format!("not a checkpoint of {other}")), "{message}");
    }
}

#[test]
fn bad_files_and_flags_are_one_line_each() {
    let data = Data::new(60);
    let at = |name: &str| data.path(name).display().to_string();
    fs::write(at("bad_trees"), "(3 (2 a) (4 b))\n(3 (2 a) (9 b))\n").unwrap();
    fs::write(at("glove"), "not 1 2 3\nvery 1 2\n").unwrap();
    let images = fs::read(at("images")).unwrap();
    fs::write(at("half"), &images[..images.len() / 2]).unwrap();
    let failing = |model: &str, flags: &[&str], parts: &[&str]| {
        let message = fail(&mut data.example(model, flags));
        for part in parts {
            assert!(message.contains(part), "{model} {flags:?}: {message:?} does not mention {part:?}");
        }
    };
    failing("tree_lstm", &["--trees", &at("bad_trees")], &["bad_trees", "line 2", "column 10", "\"9\""]);
    failing("tree_lstm", &["--glove", &at("glove"), "--embedding", "3"], &["glove", "line 2", "2 numbers"]);
    failing("tree_lstm", &["--glove", &at("glove"), "--init", &at("w.npz")], &["--glove", "--init"]);
    failing("tree_lstm", &["--train", "61"], &["train", "60 trees"]);
    failing("cnn", &["--images", &at("half")], &["half", "ends after"]);
    failing("mlp", &["--images", &at("labels")], &["labels", "byte 0"]);
    failing("mlp", &["--labels", &at("images")], &["images", "byte 0"]);
    failing("mlp", &["--batch", "51"], &["batch", "60 images"]);
    for value in ["1.5", "1", "-0.1", "nan"] {
        failing("cnn", &["--batch", "5", "--dropout", value], &["dropout", value]);
    }
    for (model, flags) in MODELS.iter().filter(|(model, _)| *model != "tree_lstm") {
        for value in ["-1", "nan", "inf"] {
            failing(model, &[flags, &["--clip", value][..]].concat(), &["--clip", value]);
        }
    }
    let most = usize::MAX.to_string();
    failing("mlp", &["--batch", "5", "--held-out", &most], &["60 images are too few", &most]);
    for (model, flag) in [("cnn", "--draw"), ("tree_lstm", "--generate"), ("make_data", "--count")] {
        let message = fail(example(model).args([flag, &most]));
        assert!(message.contains(flag) && message.contains("from 1 to 1000000"), "{message}");
    }
    // More than there are addresses.
    failing("transformer", &["--width", "65536", "--layers", "65536"], &["memory", "GB"]);
    let once = at("once");
    failing("mlp", &["--batch", "5", "--save", &once, "--report", &once], &[&once, "twice"]);
    failing("transformer", &["--heads", "5"], &["heads", "64"]);
    failing("transformer", &["--batch", "1000"], &["text.txt", "one step"]);
    failing("transformer", &["--mode", "lazy"], &["lazy", "eager"]);
    if !MODES.contains(&"compiled") {
        failing("mlp", &["--batch", "5", "--mode", "compiled"], &["mode", "LLVM 19", "--features staging"]);
    }
    failing("mlp", &["--batch", "5", "--init", &at("none.npz")], &["none.npz", "No such file"]);
    failing("mlp", &["--report", &at("none/report.json")], &["none/report.json", "No such file"]);
}

#[cfg(unix)]
#[test]
fn a_reader_that_stops_ends_the_program_quietly() {
    use std::os::unix::process::ExitStatusExt;
    let data = Data::new(60);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = data.example("mlp", &["--batch", "5"]).stdout(writer).output().expect("the example starts");
    assert_eq!((output.status.signal(), output.stderr.len()), (Some(libc::SIGPIPE), 0), "{output:?}");
}

#[test]
fn word_vectors_are_tuned_or_left_as_they_are() {
    let data = Data::new(30);
    let glove = data.path("glove");
    fs::write(&glove, "film 1 2 3 4\nunheard 0 0 0 0\n").unwrap();
    let weights = data.path("weights.npz");
    let vectors = |flags: &[&str]| {
        let mut command =
            data.example("tree_lstm", &["--embedding", "4", "--hidden", "5", "--precision", "f64"]);
        let said = succeed(command.arg("--glove").arg(&glove).arg("--save").arg(&weights).args(flags));
        assert!(said.contains("1 of the words have vectors"), "{said}");
        read_npz(&weights)["emb"].clone()
    };
    let film =
        |table: &ndarray::ArrayD<f64>| table.outer_iter().any(|row| row.iter().eq(&[1.0, 2.0, 3.0, 4.0]));
    let fixed = vectors(&["--steps", "30", "--fixed-embeddings"]);
    assert!(film(&fixed));
    let tuned = vectors(&["--steps", "30"]);
    assert!(!film(&tuned));
    // After one step only the rows of its words have moved.
    let once = vectors(&["--steps", "1"]);
    let moved = fixed.outer_iter().zip(once.outer_iter()).filter(|(a, b)| a != b).count();
    assert!((3..20).contains(&moved), "{moved} of {} rows moved", once.shape()[0]);
}

/// Trees of every size run in the code of the first one.
#[cfg(feature = "staging")]
#[test]
fn one_compilation_serves_every_tree() {
    let data = Data::new(60);
    let flags = ["--mode", "compiled", "--hidden", "8", "--embedding", "8", "--steps", "49"];
    let said = succeed(data.example("tree_lstm", &flags).env("ANTIPHON_CACHE", data.path("cache")));
    assert!(said.contains("the first 49 for training"), "{said}");
    assert!(said.contains("It was compiled, or found in the cache, once, in "), "{said}");
}
