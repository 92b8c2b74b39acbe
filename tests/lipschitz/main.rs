//! Lipschitz constants: known values, the order of all bounds, searches that stay below them, and what goes wrong.

mod errors;
mod extremes;
mod networks;
mod order;
mod regions;
mod search;
mod sequence;
mod spectral;
mod values;
