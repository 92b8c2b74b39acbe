//! `#[derive(Params)]`.
