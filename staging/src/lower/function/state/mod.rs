//! What is known while a function is being emitted. Each owner keeps its own invariant and knows nothing of how code is
//! emitted, and an owner knows of none but those above it in this table:
//!
//! | module | |
//! |---|---|
//! | [`values`] | where values are, which are not computed yet, how often each is yet to be read |
//! | [`plan`] | the plan of the function's memory, and which value is in which buffer |
//! | [`registers`] | addresses that the code being emitted has in registers |
//! | [`facts`] | what holds at a place in the code, and what an arm of a branch may change |
//! | [`words`] | where parts of a function that is cut find what others computed |

pub mod facts;
pub mod plan;
pub mod registers;
pub mod values;
pub mod words;
