//! The numbered examples run and print what they promise.

use crate::support::{example, succeed};

/// Each example's name, and what its output must contain, in order.
const EXAMPLES: [(&str, &[&str]); 6] = [
    ("01_first_gradient", &["38.00 m", "3.800 m more per m/s", "angle is 0.7854 rad", "pi is 0.7854"]),
    (
        "02_explicit_closures",
        &["closures 4.151", "do-notation     4.151", "direct style    4.151", "by hand         4.151"],
    ),
    ("03_shift_reset", &["at 2 is 7.582", "stop: 10", "[1, 4, 9, 16, 25]"]),
    ("04_data_dependent_loop", &["a = 0.5: ", "a = 10: ", "dy/da = 0.0769", "a = 1000: "]),
    ("05_recursion_over_a_tree", &["slope 0.000000", "slope 7.080605", "slope 9.38", "slope 1048576"]),
    ("06_hessian_vector_product", &["H·v = ", "iteration 0", "x[0] = 1.000000"]),
];

#[test]
fn numbered_examples_print_what_they_promise() {
    for (name, parts) in EXAMPLES {
        let output = succeed(&mut example(name));
        let mut rest = output.as_str();
        for part in parts {
            rest = rest.split_once(part).unwrap_or_else(|| panic!("{name}: no {part:?} in\n{output}")).1;
        }
    }
}

#[test]
fn numbered_examples_are_short() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut numbered = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_string();
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= 60, "{name} has {lines} lines");
            numbered.push(name);
        }
    }
    numbered.sort();
    assert_eq!(numbered, EXAMPLES.map(|(name, _)| name), "every numbered example is tested");
}
