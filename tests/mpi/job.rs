//! Jobs of several ranks.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use antiphon::distributed::{self, Communicator};
use antiphon::{Error, Result};

/// Says which test a rank runs.
const TEST: &str = "ANTIPHON_TEST_OF_RANKS";
/// The directory in which each rank says what came of it. (What ranks print may come out mixed.)
const SAID: &str = "ANTIPHON_SAID_BY_RANKS";

/// `mpirun`, of so many ranks, which may be more than there are processors, by whichever user.
pub fn mpirun(ranks: usize) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["-n", &ranks.to_string()]);
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    command.env("OMPI_MCA_rmaps_base_oversubscribe", "1").env("OMPI_MCA_hwloc_base_binding_policy", "none");
    command.env("OMPI_MCA_mpi_yield_when_idle", "1");
    command
}

/// What a job has come to.
pub struct Outcome {
    pub succeeded: bool,
    pub output: String,
}

/// What a rank says for the test that has started it.
pub fn say(rank: usize, what: &str) {
    let directory = env::var_os(SAID).expect("the test says where");
    fs::write(Path::new(&directory).join(rank.to_string()), what).unwrap();
}

/// Runs it to its end.
pub fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().unwrap_or_else(|error| {
        panic!(
            "mpirun: {error}; install an MPI: apt-get install openmpi-bin libopenmpi-dev (`make test` does)"
        )
    });
    let all = [output.stdout, output.stderr].concat();
    Outcome { succeeded: output.status.success(), output: String::from_utf8_lossy(&all).into_owned() }
}

/// Runs the test of this name on so many ranks, and what each rank said; nothing is returned where this already is one
/// of them.
fn job(ranks: usize, test: &str) -> Option<(Outcome, Vec<String>)> {
    if env::var(TEST).is_ok_and(|running| running == test) {
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut command = mpirun(ranks);
    command.arg(env::current_exe().unwrap()).args(["--exact", test, "--test-threads=1", "--nocapture"]);
    let outcome = outcome(command.env(TEST, test).env(SAID, directory.path()));
    let said = |rank: usize| {
        let file = directory.path().join(rank.to_string());
        fs::read_to_string(file).unwrap_or_else(|_| panic!("rank {rank} said nothing: {}", outcome.output))
    };
    let said = (0..ranks).map(said).collect();
    Some((outcome, said))
}

/// Runs the body of the test of this name on so many ranks, on each of which it has to succeed.
pub fn on_ranks(ranks: usize, test: &str, body: impl FnOnce(&Communicator) -> Result<()>) {
    let Some((Outcome { succeeded, output }, said)) = job(ranks, test) else {
        let rank = distributed::run(|world| body(world).map(|()| world.rank())).unwrap();
        return say(rank, "succeeded");
    };
    assert!(succeeded && said.iter().all(|said| said == "succeeded"), "{output}");
}

/// Runs the body of the test of this name on so many ranks, where it has to fail: what each rank says of it.
pub fn errors_on_ranks(
    ranks: usize,
    test: &str,
    body: impl FnOnce(&Communicator) -> Result<()>,
) -> Option<Vec<String>> {
    let Some((Outcome { succeeded, output }, said)) = job(ranks, test) else {
        let mut rank = 0;
        let outcome = distributed::run(|world| {
            rank = world.rank();
            body(world)
        });
        let error: Error = outcome.expect_err("the body fails");
        say(rank, &error.to_string());
        std::process::exit(1);
    };
    assert!(!succeeded, "{output}");
    Some(said)
}
