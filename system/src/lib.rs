//! What Antiphon asks of the operating system, once for the calculus and for compiled code: files that are
//! [replaced](file::replace) as a whole, and [directories](private) that belong to one user alone.

pub mod file;
#[cfg(unix)]
pub mod private;
