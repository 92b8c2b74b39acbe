//! What the type system refuses.

#[test]
fn variables_and_continuations_cannot_escape() {
    let cases = trybuild::TestCases::new();
    for case in [
        "var_leaves_grad",
        "var_leaves_explicit_grad",
        "derivatives_mix",
        "continuation_twice",
        "handler_borrows_body",
        "continuation_leaves_handler",
        "stashed_variable_leaves_grad",
        "control_overridden",
        "node_of_ones_own",
        "checkpoint_of_shared_state",
    ] {
        cases.compile_fail(format!("tests/ui/{case}.rs"));
    }
}

/// What the compiler says of common mistakes.
#[test]
fn mistakes_are_told_what_to_write() {
    let cases = trybuild::TestCases::new();
    for case in ["function_before_the_call", "lift_forgotten", "not_a_variable"] {
        cases.compile_fail(format!("tests/ui/{case}.rs"));
    }
}
