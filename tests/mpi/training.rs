//! The example `char_rnn` on several ranks: the losses of one process, and checkpoints that survive.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::job::{Outcome, mpirun, outcome};
use crate::support::{example, losses, succeed, write_text};

/// The flags of a training of a small model.
fn flags(directory: &Path, out: &str, more: &[&str]) -> Vec<String> {
    let at = |name: &str| directory.join(name).display().to_string();
    let report = format!("{out}/report.json");
    let mut flags =
        vec!["--text".into(), at("text.txt"), "--out".into(), at(out), "--report".into(), at(&report)];
    let given = ["--cell", "lstm", "--hidden", "8", "--seq", "6", "--batch", "12", "--precision", "f64"];
    flags.extend(given.iter().chain(more).map(|flag| flag.to_string()));
    flags
}

/// A training by one process.
fn alone(directory: &Path, out: &str, more: &[&str]) -> Command {
    let mut command = example("char_rnn");
    command.env("ANTIPHON_CACHE", directory.join("cache")).args(flags(directory, out, more));
    command
}

/// The same on so many ranks.
fn on_ranks(ranks: usize, directory: &Path, out: &str, more: &[&str]) -> Command {
    let program = example("char_rnn");
    let mut command = mpirun(ranks);
    command.arg(program.get_program()).args(flags(directory, out, more));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("ANTIPHON_CACHE", directory.join("cache"));
    command
}

#[track_caller]
fn assert_same(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (step, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= 1e-12 * b.abs(), "step {step}: {a} and {b}");
    }
}

#[test]
fn ranks_that_divide_a_batch_have_the_losses_of_one_with_all_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    write_text(path);
    for (mode, carry) in [("eager", false), ("staged", true)] {
        let mut more = vec!["--mode", mode, "--steps", "30", "--optimizer", "adam", "--lr", "0.01"];
        more.extend(carry.then_some("--carry"));
        let out = format!("alone-{mode}-{carry}");
        succeed(&mut alone(path, &out, &more));
        let expected = losses(&path.join(&out).join("report.json"));
        for ranks in [2, 3] {
            let out = format!("{ranks}-{mode}-{carry}");
            let said = outcome(&mut on_ranks(ranks, path, &out, &more));
            assert!(said.succeeded, "{}", said.output);
            // One of them speaks.
            assert_eq!(said.output.matches("Trained 30 steps").count(), 1, "{}", said.output);
            assert_same(&losses(&path.join(&out).join("report.json")), &expected);
        }
        // One process goes on from what two have saved, and the other way round.
        more.extend(["--steps", "40"]);
        succeed(&mut alone(path, &out, &more));
        let expected = losses(&path.join(&out).join("report.json"));
        let saved = |out: &str| path.join(out).join("checkpoint.safetensors").display().to_string();
        let [one, two] = [saved(&format!("2-{mode}-{carry}")), saved(&format!("3-{mode}-{carry}"))];
        more.extend(["--resume", &one]);
        let resumed = outcome(&mut on_ranks(4, path, "resumed", &more));
        assert!(resumed.succeeded, "{}", resumed.output);
        assert_same(&losses(&path.join("resumed/report.json")), &expected);
        more.extend(["--resume", &two]);
        succeed(&mut alone(path, "resumed", &more));
        assert_same(&losses(&path.join("resumed/report.json")), &expected);
    }
}

#[test]
fn what_ranks_cannot_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    write_text(path);
    let said = outcome(&mut on_ranks(5, path, "out", &["--steps", "3"]));
    assert!(
        !said.succeeded && said.output.contains("error: batch: 12, which 5 ranks do not divide"),
        "{}",
        said.output
    );
    // An example that trains in one process says so.
    let mut command = mpirun(2);
    let said = outcome(command.arg(example("mlp").get_program()).arg("--steps=1").current_dir(path));
    let expected = "error: mpi: started as one of 2 processes, and only char_rnn trains on several";
    assert!(!said.succeeded && said.output.contains(expected), "{}", said.output);
    // Weights that differ: one rank reads others.
    let weights = path.join("weights.npz").display().to_string();
    succeed(&mut alone(path, "one", &["--steps", "3", "--save", &weights]));
    let mut command = mpirun(1);
    let program = example("char_rnn");
    command.arg(program.get_program()).args(flags(path, "out", &["--steps", "3"]));
    command.args([":", "-n", "1"]).arg(program.get_program());
    let said = outcome(command.args(flags(path, "out", &["--steps", "3", "--init", &weights])));
    let expected = "has other numbers on rank 1 and on rank 0";
    assert!(!said.succeeded && said.output.contains("the initial state: `0.Wx`"), "{}", said.output);
    assert!(said.output.contains(expected), "{}", said.output);
}

/// Processes of a program that another one has started, directly or not.
fn descendants(of: u32) -> Vec<u32> {
    let children = fs::read_dir(format!("/proc/{of}/task")).into_iter().flatten().flatten();
    let children = children.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<u32> = children
        .flat_map(|ids| ids.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<_>>())
        .collect();
    children.iter().flat_map(|&child| [vec![child], descendants(child)].concat()).collect()
}

/// Kills one of the ranks, by turns, at moments spread over steps and checkpoints, twenty times: each time the job ends
/// with an error, and the checkpoint is one to go on from. In the end the losses are those of a training that nobody
/// has disturbed.
#[test]
fn a_rank_that_dies_ends_the_job_and_leaves_a_checkpoint() {
    const KILLS: usize = 20;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    write_text(path);
    let more = ["--mode", "staged", "--steps", "1000000", "--checkpoint-every", "3"];
    let checkpoint = path.join("killed/checkpoint.safetensors");
    let (mut moment, mut steps, mut rescued) = (7u64, 0, 0);
    for kill in 0..KILLS {
        moment = (moment * 13 + 11) % 32;
        let mut command = on_ranks(2, path, "killed", &more);
        if kill > 0 {
            command.arg("--resume").arg(&checkpoint);
        }
        let before = modified(&checkpoint);
        let mut job = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Until it has got further than the last one, so that all ranks are training, and then some time more.
        let patience = Instant::now();
        while modified(&checkpoint) == before {
            assert!(patience.elapsed() < Duration::from_secs(60), "the training goes on");
            assert!(job.try_wait().unwrap().is_none(), "the training ends before it is killed");
            sleep(Duration::from_millis(1));
        }
        sleep(Duration::from_micros(700 * moment));
        let mut ranks = descendants(job.id());
        let name = |id: &u32| fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
        ranks.retain(|id| name(id).trim() == "char_rnn");
        ranks.sort_unstable();
        assert_eq!(ranks.len(), 2, "{ranks:?}");
        let victim = ranks[kill % 2];
        assert!(Command::new("kill").args(["-KILL", &victim.to_string()]).status().unwrap().success());
        let ended = job.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        rescued += usize::from(said.contains("a checkpoint of"));
        assert!(!ended.status.success(), "{said}");
        assert!(!ranks.iter().any(|&id| runs(id)), "ranks are left: {ranks:?}");
        // It is whole, and of more steps than the last one.
        let metadata = antiphon::io::read_metadata(&checkpoint).unwrap();
        let now: usize = metadata["steps"].parse().unwrap();
        assert!(now > steps, "{now} steps after {steps}");
        steps = now;
    }
    // Rank 0 outlived the other one every other time.
    assert!(rescued > 0, "none saved a checkpoint of its last step");
    let steps = (steps + 5).to_string();
    let end = ["--mode", "staged", "--steps", &steps, "--checkpoint-every", "1000000"];
    let mut resumed = on_ranks(2, path, "killed", &end);
    let Outcome { succeeded, output } = outcome(resumed.arg("--resume").arg(&checkpoint));
    assert!(succeeded, "{output}");
    let undisturbed = outcome(&mut on_ranks(2, path, "undisturbed", &end));
    assert!(undisturbed.succeeded, "{}", undisturbed.output);
    let report = |out: &str| losses(&path.join(out).join("report.json"));
    assert_eq!(report("killed"), report("undisturbed"));
}

/// Whether a process runs; one that has ended may still have a number.
fn runs(id: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}
