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

/// The same of the compiler's.
const STAGING: &[&str] = &["ir", "interpret", "analysis", "optimise", "lower", "jit"];

/// The same of its folder `lower`, in which `mod.rs` is above all others.
const LOWER: &[&str] = &["abi", "asm", "loops", "products", "function"];

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

/// Each import of another module of a folder by its path from the root, which begins with a prefix: the module that
/// imports, the one that is imported, and the file. What only tests import is left out.
fn imports(source: &Path, prefix: &str) -> BTreeSet<(String, String, String)> {
    let mut files = Vec::new();
    sources(source, &mut files);
    let mut found = BTreeSet::new();
    for path in files {
        let importing = module(source, &path);
        if path.file_stem().unwrap().to_str().unwrap().ends_with("tests") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        // What is public at the root is named there by macros' users, and by nobody else.
        for code in text.lines().filter_map(|line| line.split("//").next()) {
            for after in code.split(prefix).skip(1) {
                let group = after.strip_prefix('{').map(|group| group.split('}').next().unwrap());
                for imported in group.unwrap_or(after).split(if group.is_some() { ',' } else { ';' }) {
                    let letters =
                        imported.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_');
                    let imported: String = letters.collect();
                    if imported != importing && imported.starts_with(char::is_lowercase) {
                        let file = path.strip_prefix(source).unwrap().display().to_string();
                        found.insert((importing.clone(), imported, file));
                    }
                }
            }
        }
    }
    found
}

#[track_caller]
fn assert_layers(source: &str, prefix: &str, layers: &[&str]) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let mut modules: BTreeSet<String> = fs::read_dir(&source)
        .unwrap()
        .map(|entry| module(&source, &entry.unwrap().path()))
        .filter(|name| !["lib", "mod"].contains(&name.as_str()))
        .collect();
    for layer in layers {
        assert!(modules.remove(*layer), "{layer} is a layer, and is not there");
    }
    assert!(modules.is_empty(), "say which layer these are: {modules:?}");
    let place = |name: &str| layers.iter().position(|layer| *layer == name);
    let imports = imports(&source, prefix);
    assert!(imports.len() > layers.len(), "{imports:?}");
    let upward: Vec<_> = imports
        .iter()
        .filter(|(importing, imported, _)| {
            !["lib", "mod"].contains(&importing.as_str()) && place(imported) >= place(importing)
        })
        .collect();
    assert!(upward.is_empty(), "imports of what stands above: {upward:?}");
}

#[test]
fn no_folder_imports_what_stands_above_it() {
    assert_layers("src", "crate::", ANTIPHON);
    assert_layers("staging/src", "crate::", STAGING);
    assert_layers("staging/src/lower", "crate::lower::", LOWER);
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
