//! The layers of the crates: what each folder of their sources may import; that no two of their public types have one
//! name; and that lines end where a reader's window does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Files and folders of `src`, each of which imports only what stands before it.
const ANTIPHON: &[&str] = &[
    "error",
    "threads",
    "finite",
    "continuation",
    "debug",
    "memory",
    "sealed",
    "language",
    "scalar",
    "forward",
    "reverse",
    "batch",
    "partial",
    "recording",
    "array",
    "linalg",
    "transforms",
    "named",
    "linearize",
    "jacobian",
    "sparse",
    "solve",
    "check",
    "compiled",
    "io",
    "distributed",
    "onnx",
    "nn",
    "optim",
    "lipschitz",
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

/// What is known while a function is emitted has owners that know nothing of what is emitted.
#[test]
fn the_state_of_a_function_imports_nothing_of_what_emits_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("staging/src/lower/function");
    let imports = imports(&source, "crate::lower::function::");
    let of_state: Vec<_> = imports.iter().filter(|(importing, ..)| importing == "state").collect();
    assert!(of_state.is_empty(), "{of_state:?}");
    assert!(imports.iter().any(|(_, imported, _)| imported == "state"), "{imports:?}");
}

/// A module's file, and those of the modules that it declares, each with whether all modules above it are public.
fn modules(file: &Path, public: bool, files: &mut Vec<(PathBuf, bool)>) {
    let text = fs::read_to_string(file).unwrap();
    let folder = match file.file_stem().unwrap().to_str().unwrap() {
        "lib" | "mod" => file.parent().unwrap().to_path_buf(),
        _ => file.with_extension(""),
    };
    for line in text.lines().map(str::trim).filter_map(|line| line.strip_suffix(';')) {
        let (name, public) = match (line.strip_prefix("pub mod "), line.rsplit_once("mod ")) {
            (Some(name), _) => (name, public),
            (None, Some((before, name))) if before.is_empty() || before.ends_with(") ") => (name, false),
            _ => continue,
        };
        let below = [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")];
        if let Some(file) = below.iter().find(|file| file.exists()) {
            modules(file, public, files);
        }
    }
    files.push((file.into(), public));
}

/// Names of the public types of a crate, each with the files that declare it: those of public modules, and those that
/// a public module exports by name from a folder or file of theirs. What macros make is left out.
fn public_types(source: &Path) -> Vec<(String, PathBuf)> {
    let mut files = Vec::new();
    modules(&source.join("lib.rs"), true, &mut files);
    let texts = files.into_iter().map(|(file, public)| (fs::read_to_string(&file).unwrap(), file, public));
    let texts: Vec<_> = texts.collect();
    let exports: Vec<BTreeSet<&str>> = texts
        .iter()
        .filter(|(_, _, public)| *public)
        .flat_map(|(text, ..)| text.split("pub use ").skip(1).filter_map(|after| after.split(';').next()))
        .map(|names| names.split(|c: char| !c.is_alphanumeric() && c != '_').collect())
        .collect();
    let mut types = Vec::new();
    for (text, file, public) in &texts {
        let path = file.strip_prefix(source).unwrap().with_extension("");
        let path: Vec<&str> = path.iter().map(|part| part.to_str().unwrap()).collect();
        for line in text.lines().filter_map(|line| line.strip_prefix("pub ")) {
            let line = line.strip_prefix("unsafe ").unwrap_or(line);
            let kinds = ["struct ", "enum ", "trait ", "type "];
            let Some(after) = kinds.iter().find_map(|kind| line.strip_prefix(kind)) else { continue };
            let name: String = after.chars().take_while(|c| c.is_alphanumeric()).collect();
            let exported = |names: &BTreeSet<&str>| {
                names.contains(name.as_str()) && path.iter().any(|part| names.contains(part))
            };
            if *public || exports.iter().any(exported) {
                types.push((name, file.clone()));
            }
        }
    }
    types
}

#[test]
fn no_two_public_types_have_one_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut places: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for source in ["src", "derive/src", "elementary/src", "shape/src", "staging/src", "system/src"] {
        for (name, file) in public_types(&root.join(source)) {
            places.entry(name).or_default().push(file.strip_prefix(root).unwrap().into());
        }
    }
    assert!(places.len() > 100, "only {} types were found: {places:?}", places.len());
    // Each crate has its own.
    places.retain(|name, places| places.len() > 1 && !["Error", "Result"].contains(&name.as_str()));
    assert!(places.is_empty(), "types of one name: {places:#?}");
}

#[test]
fn no_line_has_more_than_120_characters() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for directory in ["src", "derive", "elementary", "shape", "staging/src", "system"] {
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
