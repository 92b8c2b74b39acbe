//! Code for programs in C: one that trains with it, as eager steps do, and what cannot be exported.

use std::path::Path;
use std::process::Command;

use antiphon::nn::{Init, Rng};
use antiphon::recording::{CompileOptions, OptimiseOptions, Recorded};
use antiphon::{Control, NdArray, NdInt, Real, Result, Tensor, Var, compile, compile_with, value_and_grad};

type Array = NdArray<f64>;

const POINTS: usize = 64;
const WIDTH: usize = 24;
const STEPS: usize = 200;

/// The weights of a layer and of a second one, a step of descent later, and the loss before it.
fn step<T: Tensor>((w, v): (T, T), (x, y): (T, T)) -> Result<((T, T), T)> {
    let (loss, (w_bar, v_bar)) = value_and_grad(
        |(w, v): (Var<'_, T>, Var<'_, T>)| {
            let hidden = Var::lift(&x).matmul(&w).tanh();
            (hidden.matmul(&v) - Var::lift(&y)).square().mean(..)
        },
        &(w.clone(), v.clone()),
    )?;
    Ok(((w - w_bar * 0.1, v - v_bar * 0.1), loss))
}

/// Builds a program from C, against what was exported, and gives what it prints.
fn run(directory: &Path, source: &str, flags: &[&str]) -> String {
    let (main, program) = (directory.join("main.c"), directory.join("main"));
    std::fs::write(&main, source).unwrap();
    let warnings = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-O1"];
    let mut cc = Command::new("cc");
    cc.args(warnings).args(flags).arg(&main).arg(directory.join("step.o")).arg("-o").arg(&program).arg("-lm");
    let built = cc.output().expect("a C compiler, which linking Rust's programs needs too (Debian: gcc)");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let ran = Command::new(&program).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn a_program_in_c_trains_with_it() {
    let sample = |seed, shape: &[usize]| -> Array {
        Init::Normal { mean: 0.0, std: 0.5 }.sample(shape, &mut Rng::new(seed))
    };
    let start = (sample(1, &[3, WIDTH]), sample(2, &[WIDTH, 1]));
    let x = sample(3, &[POINTS, 3]);
    let y = x.sum(-1).sin().reshape(&[POINTS, 1]);
    let mut state = start.clone();
    let mut losses = Vec::new();
    for _ in 0..STEPS {
        let (next, loss) = step(state, (x.clone(), y.clone())).unwrap();
        losses.push(loss.item());
        state = next;
    }
    assert!(losses[STEPS - 1] < 0.1 * losses[0], "it learns: {losses:?}");
    let list = |x: &Array| x.view().iter().map(|x| format!("{x:e}")).collect::<Vec<_>>().join(", ");
    let source = format!(
        "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#define STEP_IMPLEMENTATION\n#include \"step.h\"\n\
         static double w[2][{w_size}] = {{{{{w}}}}}, v[2][{WIDTH}] = {{{{{v}}}}};\n\
         static const double x[] = {{{x}}}, y[] = {{{y}}};\n\
         int main(void) {{\n    void *memory = malloc(STEP_MEMORY);\n    double loss;\n    const char *reason;\n    \
         for (int i = 0; i < {STEPS}; i++) {{\n        const void *const in[] = {{w[i % 2], v[i % 2], x, y}};\n        \
         void *const out[] = {{w[1 - i % 2], v[1 - i % 2], &loss}};\n        \
         if (step_run(in, out, memory, STEP_MEMORY, &reason) != STEP_OK) return puts(reason), 1;\n        \
         printf(\"%.17g\\n\", loss);\n    }}\n    free(memory);\n    return 0;\n}}\n",
        w_size = 3 * WIDTH,
        w = list(&start.0),
        v = list(&start.1),
        x = list(&x),
        y = list(&y),
    );
    for threads in [1, 2] {
        let directory = tempfile::tempdir().unwrap();
        let optimise = Some(OptimiseOptions { reassociate: true });
        let options = CompileOptions { optimise, threads, cache: None, ..CompileOptions::default() };
        let example = (start.clone(), (x.clone(), y.clone()));
        let record = |(state, data): ((Recorded, Recorded), (Recorded, Recorded))| step(state, data).unwrap();
        let compiled = compile_with("step", record, &example, &options).unwrap();
        compiled.export(directory.path().join("step")).unwrap();
        let header = std::fs::read_to_string(directory.path().join("step.h")).unwrap();
        assert!(header.contains("input 0: 0.0 double[3][24]"), "{header}");
        let printed = run(directory.path(), &source, if threads == 1 { &[] } else { &["-fopenmp"] });
        let found: Vec<f64> = printed.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(found.len(), STEPS);
        for (found, expected) in found.iter().zip(&losses) {
            assert!((found - expected).abs() <= 1e-10 * expected, "{found} and {expected}");
        }
    }
}

#[test]
fn a_run_that_ends_early_says_why_and_writes_nothing() {
    let example = (Array::zeros(&[4]), NdInt::from(vec![0, 0]));
    let pick = |(table, rows): (Recorded, <Recorded as Real>::Int)| {
        let picked = table.gather_rows(&rows);
        Recorded::ensure(&picked.sum(..).less(&Recorded::constant(10.0)), "the sum has to be small");
        picked.lgamma()
    };
    let directory = tempfile::tempdir().unwrap();
    compile("pick", pick, &example).unwrap().export(directory.path().join("step")).unwrap();
    let source = "#include <stdio.h>\n#include <stdlib.h>\n#define STEP_IMPLEMENTATION\n#include \"step.h\"\n\
         static void say(const double *table, int64_t a, int64_t b, size_t bytes) {\n    \
         static char memory[STEP_MEMORY];\n    int64_t rows[] = {a, b};\n    double out[] = {7, 7};\n    const char *reason;\n    \
         const void *const in[] = {table, rows};\n    void *const outs[] = {out};\n    \
         int status = step_run(in, outs, memory, bytes, &reason);\n    \
         printf(\"%d %.12g %.12g %s\\n\", status, out[0], out[1], reason);\n}\n\
         int main(void) {\n    double small[] = {1, 2, 3, 4}, large[] = {9, 9, 9, 9};\n    \
         say(small, 2, 3, STEP_MEMORY), say(small, 2, 4, STEP_MEMORY), say(large, 0, 1, STEP_MEMORY), say(small, 0, 0, 8);\n    \
         return 0;\n}\n";
    let printed = run(directory.path(), source, &[]);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], "0 0.69314718056 1.79175946923 ");
    assert_eq!(lines[1], "1 7 7 an index is out of range");
    assert!(
        lines[2].starts_with("4 7 7 the sum has to be small (tests") && lines[2].contains("export.rs"),
        "{printed}"
    );
    assert_eq!(lines[3], "3 7 7 more memory is needed");
}

#[test]
fn what_c_has_no_counterpart_of_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let x = Array::ones(&[3]);
    let error = |f: fn(Recorded) -> Recorded, name: &str| {
        let compiled = compile("f", f, &x).unwrap();
        compiled.export(directory.path().join(name)).unwrap_err().to_string()
    };
    let says = |error: String, words: &str| assert!(error.contains(words), "{error}");
    says(error(|x| x.exp(), "no-name"), "\"no-name\" is no name in C");
    let strict = CompileOptions { strict: true, cache: None, ..CompileOptions::default() };
    let bessel = compile_with("f", |x: Recorded| x.i0(), &x, &strict).unwrap();
    says(bessel.export(directory.path().join("f")).unwrap_err().to_string(), "no function i0");
    says(error(|x| x.printed("x"), "f"), "it prints");
    let missing = compile("f", |x: Recorded| x.exp(), &x).unwrap().export(directory.path().join("none/f"));
    assert!(missing.unwrap_err().to_string().contains("none"));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is written");
}
