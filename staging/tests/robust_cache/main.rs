//! The cache of compiled code as an attacker and an accident find it: nothing is run that this user did not put there,
//! nothing hangs, and what is damaged is compiled again.
#![cfg(feature = "llvm")]

#[path = "../common/mod.rs"]
mod common;
mod damaged;
mod limits;
mod planted;

use antiphon_staging::jit::cache::Object;

fn object(i: u64, bytes: usize) -> Object {
    Object { code: (0..bytes).map(|at| (at as u64 * 31 + i) as u8).collect(), arena: i }
}

/// The name of a key.
fn key(i: u64) -> String {
    format!("{i:064x}")
}
