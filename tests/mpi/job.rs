//! Jobs of several ranks.

use std::env;
use std::process::Command;

use antiphon::distributed::{self, Communicator};
use antiphon::{Error, Result};

/// Says which test a rank runs.
const TEST: &str = "ANTIPHON_TEST_OF_RANKS";

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

/// Runs the test of this name on so many ranks; nothing is returned where this already is one of them.
fn job(ranks: usize, test: &str) -> Option<Outcome> {
    if env::var(TEST).is_ok_and(|running| running == test) {
        return None;
    }
    let mut command = mpirun(ranks);
    command.arg(env::current_exe().unwrap()).args(["--exact", test, "--test-threads=1", "--nocapture"]);
    Some(outcome(command.env(TEST, test)))
}

/// Runs the body of the test of this name on so many ranks, on each of which it has to succeed.
pub fn on_ranks(ranks: usize, test: &str, body: impl FnOnce(&Communicator) -> Result<()>) {
    match job(ranks, test) {
        None => distributed::run(body).unwrap(),
        Some(Outcome { succeeded, output }) => {
            assert!(succeeded, "{output}");
            assert_eq!(output.matches("test result: ok. 1 passed").count(), ranks, "{output}");
        }
    }
}

/// Runs the body of the test of this name on so many ranks, where it has to fail: what each rank says of it.
pub fn errors_on_ranks(
    ranks: usize,
    test: &str,
    body: impl FnOnce(&Communicator) -> Result<()>,
) -> Option<Vec<String>> {
    let Some(Outcome { succeeded, output }) = job(ranks, test) else {
        let mut rank = 0;
        let outcome = distributed::run(|world| {
            rank = world.rank();
            body(world)
        });
        let error: Error = outcome.expect_err("the body fails");
        println!("\nrank {rank} got [{error}]");
        std::process::exit(1);
    };
    assert!(!succeeded, "{output}");
    let said = |rank: usize| {
        let start = output.find(&format!("rank {rank} got [")).unwrap_or_else(|| panic!("{output}"));
        let said = &output[start..];
        said[said.find('[').unwrap() + 1..said.find("]\n").unwrap()].to_string()
    };
    Some((0..ranks).map(said).collect())
}
