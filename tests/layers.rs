//! The layers of the crates: what each folder of their sources may import; and that lines end where a reader's window
//! does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Files and folders of `src`, each of which imports only what stands before it.
const ANTIPHON: &[&str] = &[
    "error",
    "continuation",
    "memory",
    "sealed",
    "language",
    "scalar",
    "forward",
    "reverse",
    "recording",
    "array",
    "derivative",
    "check",
    "compiled",
    "io",
    "nn",
    "optim",
    "data",
];

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

/// The file or folder directly below `src` that a path lies in, as a module.
fn module(source: &Path, path: &Path) -> String {
    let first = path.strip_prefix(source).unwrap().components().next().unwrap().as_os_str().to_str().unwrap();
    first.strip_suffix(".rs").unwrap_or(first).to_string()
}

/// Each import of another module by its path from the root, as the module that imports and the one that is imported.
fn imports(source: &Path) -> BTreeSet<(String, String, String)> {
    let mut files = Vec::new();
    sources(source, &mut files);
    let mut found = BTreeSet::new();
    for path in files {
        let importing = module(source, &path);
        let text = fs::read_to_string(&path).unwrap();
        // What is public at the root is named there by macros' users, and by nobody else.
        for code in text.lines().filter_map(|line| line.split("//").next()) {
            for after in code.split("crate::").skip(1) {
                let imported: String =
                    after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if imported != importing && imported.starts_with(char::is_lowercase) {
                    let file = path.strip_prefix(source).unwrap().display().to_string();
                    found.insert((importing.clone(), imported, file));
                }
            }
        }
    }
    found
}

#[track_caller]
fn assert_layers(source: &str, layers: &[&str]) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let mut modules: BTreeSet<String> = fs::read_dir(&source)
        .unwrap()
        .map(|entry| module(&source, &entry.unwrap().path()))
        .filter(|name| name != "lib")
        .collect();
    for layer in layers {
        assert!(modules.remove(*layer), "{layer} is a layer, and is not there");
    }
    assert!(modules.is_empty(), "say which layer these are: {modules:?}");
    let place = |name: &str| layers.iter().position(|layer| *layer == name);
    let imports = imports(&source);
    assert!(imports.len() > layers.len(), "{imports:?}");
    let upward: Vec<_> = imports
        .iter()
        .filter(|(importing, imported, _)| importing != "lib" && place(imported) >= place(importing))
        .collect();
    assert!(upward.is_empty(), "imports of what stands above: {upward:?}");
}

#[test]
fn no_folder_imports_what_stands_above_it() {
    assert_layers("src", ANTIPHON);
}

#[test]
fn no_line_has_more_than_120_characters() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for directory in ["src", "derive", "shape", "staging/src", "system"] {
        sources(&root.join(directory), &mut files);
    }
    assert!(files.len() > 150, "{} files", files.len());
    let long: Vec<String> = files
        .iter()
        .flat_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let long = |(_, line): &(usize, &str)| line.chars().count() > 120;
            let place = |(number, _): (usize, &str)| format!("{}:{}", path.display(), number + 1);
            text.lines().enumerate().filter(long).map(place).collect::<Vec<_>>()
        })
        .collect();
    assert!(long.is_empty(), "lines of more than 120 characters: {long:?}");
}
