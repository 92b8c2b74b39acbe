//! What the documentation says of operators.

use std::collections::BTreeSet;

use antiphon::NdArray;
use antiphon::onnx::Model;

/// The page's table lists the operators that are supported, each once.
#[test]
fn the_page_lists_the_operators() {
    let page = include_str!("../../docs/onnx.md");
    let table = page.split_once("| subject | operators | notes |").unwrap().1;
    let mut listed = Vec::new();
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let operators = row.split('|').nth(2).unwrap();
        listed.extend(operators.split_whitespace().map(|name| name.trim_matches('`')));
    }
    let supported: BTreeSet<&str> = Model::<NdArray<f32>>::supported().into_iter().collect();
    assert_eq!(listed.len(), supported.len());
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), supported);
}
