//! What the documentation says, done.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The contents of all blocks of code of a kind in a page, which are so many.
fn blocks<const N: usize>(page: &str, kind: &str) -> [String; N] {
    let start = format!("```{kind}\n");
    let contents = page.split(&start).skip(1);
    let blocks =
        contents.map(|rest| format!("{}\n", rest.split_once("\n```\n").expect("the end of the block").0));
    blocks.collect::<Vec<_>>().try_into().unwrap_or_else(|blocks| panic!("blocks {kind:?}: {blocks:?}"))
}

/// Applies a patch to a copy of the workspace.
#[track_caller]
fn patch(directory: &Path, patch: &str) {
    fs::write(directory.join("page.diff"), patch).unwrap();
    succeed(Command::new("git").current_dir(directory).args(["apply", "page.diff"]));
}

/// Cargo in a copy of the workspace, with the dependencies of this build, which are there already.
fn cargo(directory: &Path) -> Command {
    let target = std::env::current_exe().unwrap();
    let target = target.ancestors().nth(3).expect("target/<profile>/deps/<test>");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(directory).env("CARGO_TARGET_DIR", target);
    cargo
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() { copy(&path, &to) } else { fs::copy(&path, &to).map(drop).unwrap() }
    }
}

#[track_caller]
fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// A copy of the workspace, without what was built of it.
fn copied_workspace() -> tempfile::TempDir {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = tempfile::tempdir().unwrap();
    let at = |path: &str| directory.path().join(path);
    for part in
        ["src", "derive", "elementary", "examples", "shape", "staging", "system", "docs", "tests", "benches"]
    {
        copy(&root.join(part), &at(part));
    }
    for part in ["Cargo.toml", "Cargo.lock", "README.md"] {
        fs::copy(root.join(part), at(part)).unwrap();
    }
    // Another version: else cargo would take the copy for this crate, and put its build in this one's place.
    let manifest = fs::read_to_string(at("Cargo.toml")).unwrap();
    let version = concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"");
    assert!(manifest.contains(version), "the workspace's version");
    fs::write(at("Cargo.toml"), manifest.replacen(version, "version = \"0.1.999\"", 1)).unwrap();
    directory
}

#[test]
fn the_patch_of_adding_an_operator_adds_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/adding-an-operator.md")).unwrap();
    let directory = copied_workspace();
    let [test] = blocks(&page, "rs");
    let [diff] = blocks(&page, "diff");
    fs::write(directory.path().join("tests/softsign.rs"), test).unwrap();
    patch(directory.path(), &diff);
    succeed(cargo(directory.path()).args(["test", "--offline", "--quiet", "--test", "softsign"]));
}

#[test]
fn the_patches_of_extending_the_ir_extend_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/extending-the-ir.md")).unwrap();
    let directory = copied_workspace();
    let [test] = blocks(&page, "rs");
    let patches: [String; 3] = blocks(&page, "diff");
    fs::write(directory.path().join("staging/tests/extended.rs"), test).unwrap();
    patches.iter().for_each(|diff| patch(directory.path(), diff));
    let mut test = cargo(directory.path());
    // It runs once: to optimise it takes longer.
    test.args([
        "--config",
        "profile.dev.package.antiphon-staging.opt-level=0",
        "test",
        "--offline",
        "--quiet",
    ]);
    test.args(["--package", "antiphon-staging", "--test", "extended"]);
    if cfg!(feature = "staging") {
        test.args(["--features", "llvm"]);
    }
    succeed(&mut test);
}

/// Adds a name to a list of operators.
fn add_name(file: &Path, list: &str) {
    let text = fs::read_to_string(file).unwrap();
    let head = format!("\n    {list} {{\n");
    assert_eq!(text.matches(&head).count(), 1, "{list}");
    let name = "        /// Nobody thinks of it.\n        Forgotten \"forgotten\",\n";
    fs::write(file, text.replace(&head, &format!("{head}{name}"))).unwrap();
}

/// Adds a variant to the end of an enumeration in a file.
fn add_variant(file: &Path, enumeration: &str, variant: &str) {
    let text = fs::read_to_string(file).unwrap();
    let start = text.find(&format!("pub enum {enumeration} {{")).expect("the enumeration");
    let end = start + text[start..].find("\n}").expect("its end");
    fs::write(file, format!("{}\n    /// Forgotten.\n    {variant},{}", &text[..end], &text[end..])).unwrap();
}

#[test]
fn an_operator_or_a_statement_that_is_forgotten_somewhere_does_not_compile() {
    let directory = copied_workspace();
    let source = directory.path().join("staging/src");
    add_variant(&source.join("ir/expr.rs"), "Expr", "Forgotten(Value)");
    add_variant(&source.join("ir/mod.rs"), "Stmt", "Forgotten(Value)");
    for list in ["Unary", "Binary", "Reduction"] {
        add_name(&source.join("ir/expr.rs"), list);
    }
    let mut check = Command::new(env!("CARGO"));
    // What is checked, and not compiled, has dependencies of its own, which are kept for the next time.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("forgotten");
    check.current_dir(directory.path()).env("CARGO_TARGET_DIR", target);
    check.args(["check", "--offline", "--package", "antiphon-staging", "--message-format", "short"]);
    if cfg!(feature = "staging") {
        check.args(["--features", "llvm"]);
    }
    let output = check.output().unwrap();
    assert!(!output.status.success(), "it compiles");
    let errors = String::from_utf8(output.stderr).unwrap();
    let is_missed = |place: &str, variant: &str| {
        let of = |line: &str| line.starts_with(&format!("staging/src/{place}")) && line.contains("[E0004]");
        errors.lines().any(|line| of(line) && line.contains(variant))
    };
    let mut expr =
        vec!["ir/expr.rs", "ir/infer.rs", "ir/print/text.rs", "interpret/mod.rs", "optimise/hoist.rs"];
    let mut stmt =
        vec!["ir/mod.rs", "ir/verify.rs", "ir/print/text.rs", "interpret/mod.rs", "analysis/effects.rs"];
    stmt.extend(["optimise/always.rs", "optimise/dead.rs", "optimise/inline.rs", "optimise/signature.rs"]);
    if cfg!(feature = "staging") {
        expr.push("lower/function/");
        stmt.extend(["analysis/captures.rs", "analysis/liveness.rs", "lower/function/"]);
    }
    let mut unary = vec!["ir/infer.rs", "interpret/elementwise.rs", "optimise/hoist.rs"];
    let mut binary = unary.clone();
    let mut reduction = vec!["interpret/reduction.rs"];
    if cfg!(feature = "staging") {
        unary.extend(["lower/asm/elementwise.rs", "lower/asm/math.rs"]);
        binary.push("lower/asm/elementwise.rs");
        reduction.extend(["lower/loops/emit.rs", "lower/function/reduction.rs"]);
    }
    let forgotten = [
        (expr, "Expr::Forgotten(_)"),
        (stmt, "Stmt::Forgotten(_)"),
        (unary, "Unary::Forgotten"),
        (binary, "Binary::Forgotten"),
        (reduction, "Reduction::Forgotten"),
    ];
    for (places, variant) in forgotten {
        let silent: Vec<&str> = places.into_iter().filter(|place| !is_missed(place, variant)).collect();
        assert!(silent.is_empty(), "{variant} is no error in {silent:?}, but in:\n{errors}");
    }
}

#[test]
fn architecture_names_every_file_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    let mut missing = Vec::new();
    let mut directories = ["src", "derive/src", "elementary/src", "shape/src", "staging/src", "system/src"]
        .map(|directory| root.join(directory))
        .to_vec();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            // A directory may be named as a whole.
            match path.is_dir() {
                true if named.contains(&&*format!("{name}/")) => {}
                true => directories.push(path),
                false
                    if named.contains(&&*name)
                        || ["staging/src/lib.rs", "system/src/lib.rs"]
                            .iter()
                            .any(|lib| path.ends_with(lib)) => {}
                false => missing.push(name),
            }
        }
    }
    assert!(missing.is_empty(), "docs/architecture.md does not mention {missing:?}");
    let places = [
        "src/",
        "derive/",
        "elementary/",
        "shape/",
        "staging/",
        "system/",
        "tests/",
        "benches/",
        "examples/",
        "docs/",
    ];
    let gone = named
        .iter()
        .filter(|name| places.iter().any(|place| name.starts_with(place)) && !root.join(name).exists());
    assert_eq!(
        gone.collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "docs/architecture.md mentions what is not there"
    );
}

/// The files of Rust below a directory.
fn sources(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, files),
            false if path.extension().is_some_and(|extension| extension == "rs") => files.push(path),
            false => {}
        }
    }
}

#[test]
fn design_lists_the_unsafe_code_of_every_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/design.md")).unwrap();
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split('|');
        let file = cells.next()?.trim().trim_end_matches('`').to_string();
        Some((file, cells.next()?.trim().parse::<usize>().ok()?))
    };
    let listed: BTreeMap<String, usize> = page.lines().filter_map(row).collect();
    let mut files = Vec::new();
    for directory in ["src", "derive/src", "elementary/src", "shape/src", "staging/src", "system/src"] {
        sources(&root.join(directory), &mut files);
    }
    let counted = files.iter().filter_map(|path| {
        let text = fs::read_to_string(path).unwrap();
        let code = text.lines().filter_map(|line| line.split("//").next());
        let keywords = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
        let count = code
            .map(|code| keywords.iter().map(|keyword| code.matches(keyword).count()).sum::<usize>())
            .sum();
        (count > 0).then(|| (path.strip_prefix(root).unwrap().display().to_string(), count))
    });
    let counted: BTreeMap<String, usize> = counted.collect();
    assert_eq!(listed, counted, "the list of unsafe code in docs/design.md, and what there is");
}
