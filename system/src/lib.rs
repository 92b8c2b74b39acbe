//! What Antiphon asks of the operating system, once for the calculus and for compiled code: files that are
//! [opened](file::open) if they are regular ones, and [replaced](file::replace) as a whole.

pub mod file;
