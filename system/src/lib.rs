//! What Antiphon asks of the operating system, once for the calculus and for compiled code: files that are
//! [replaced](file::replace) as a whole.

pub mod file;
