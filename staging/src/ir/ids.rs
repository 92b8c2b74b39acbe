//! Typed indices into a [`Program`](crate::Program)'s tables, and what is kept by them: `cranelift-entity`'s maps.
//!
//! A [`PrimaryMap`] owns what it numbers. What a pass knows of the whole program is a [`SecondaryMap`] or an
//! [`EntitySet`], which are as long as the largest number in them. What is known of one function or one block is in a
//! `HashMap`: a program of thousands of functions would make as many dense maps, each as long as all of it.

pub use cranelift_entity::packed_option::PackedOption;
pub use cranelift_entity::{EntityRef, EntitySet, PrimaryMap, SecondaryMap};

macro_rules! ids {
    ($($(#[$doc:meta])* $Id:ident $prefix:literal;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $Id(u32);
        cranelift_entity::entity_impl!($Id, $prefix);
    )* };
}

ids! {
    /// A tensor of static type, defined once.
    Value "v";
    /// A mutable accumulator. Each time its definition runs, a new, empty one comes into being.
    Cell "c";
    /// A sequence of statements with results.
    Block "b";
    /// A local function.
    Func "f";
    /// A continuation parameter of a function.
    Cont "k";
    /// A look at a value while the program runs.
    Probe "p";
    /// A call of a function of the host.
    Host "h";
}
