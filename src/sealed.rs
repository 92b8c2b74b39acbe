//! Methods of public traits that only this crate calls and implements.

/// A parameter of such a method. Its module is private, so nobody else can write its name or make one: the method can
/// be neither called nor overridden from outside. What unsafe code asks of these methods is therefore asked of this
/// crate.
#[derive(Debug, Clone, Copy)]
pub struct Internal(());

/// The only value.
pub(crate) const INTERNAL: Internal = Internal(());
