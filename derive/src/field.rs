//! What one field contributes: parameters under a name, or configuration.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Ident, LitStr, Member, Result};

/// One field of the struct.
pub struct Field {
    /// How to write it: `wx` or `0`.
    pub member: Member,
    /// What it holds.
    pub role: Role,
}

/// What a field holds.
pub enum Role {
    /// Components, under this name.
    Named(String, Kind),
    /// Components, under the names that they have in their own structure.
    Flat,
    /// Something that is copied along.
    Configuration,
}

/// What a field's components are.
pub enum Kind {
    /// Those of a structure of its own; an interpretation is one.
    Nested,
    /// The interpretation's integer or truth value, `T::Int` or `T::Bool`.
    Associated {
        /// The variant of `antiphon::state::Leaf`.
        leaf: Ident,
        /// The method that takes the value out of it.
        get: Ident,
    },
}

impl Kind {
    fn of(ty: &syn::Type, parameter: &Ident) -> Kind {
        let syn::Type::Path(path) = ty else { return Kind::Nested };
        let segments: Vec<&Ident> = path.path.segments.iter().map(|segment| &segment.ident).collect();
        match segments[..] {
            [of, leaf] if path.qself.is_none() && of == parameter && (leaf == "Int" || leaf == "Bool") => {
                let get = Ident::new(&leaf.to_string().to_lowercase(), leaf.span());
                Kind::Associated { leaf: leaf.clone(), get }
            }
            _ => Kind::Nested,
        }
    }
}

impl Field {
    /// Reads the field's type and attributes.
    pub fn parse(member: Member, field: &syn::Field, parameter: &Ident) -> Result<Field> {
        let mut role = match mentions(field.ty.to_token_stream(), parameter) {
            false => Role::Configuration,
            true => {
                let name = match &member {
                    Member::Named(ident) => ident.unraw().to_string(),
                    Member::Unnamed(index) => index.index.to_string(),
                };
                Role::Named(name, Kind::of(&field.ty, parameter))
            }
        };
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("params")) {
            attribute.parse_nested_meta(|meta| {
                if matches!(role, Role::Configuration) {
                    return Err(meta.error(format!(
                        "this field is configuration: its type does not mention `{parameter}`"
                    )));
                }
                if meta.path.is_ident("flatten") {
                    role = Role::Flat;
                } else if meta.path.is_ident("name") {
                    let name: LitStr = meta.value()?.parse()?;
                    if name.value().is_empty() {
                        return Err(syn::Error::new(name.span(), "a parameter's name cannot be empty"));
                    }
                    role = Role::Named(name.value(), Kind::of(&field.ty, parameter));
                } else {
                    return Err(meta.error("expected `name = \"…\"` or `flatten`"));
                }
                Ok(())
            })?;
        }
        Ok(Field { member, role })
    }
}

/// That a type does not mention the interpretation's integers or truth values, which have no gradient.
pub fn refuse_associated(ty: &syn::Type, parameter: &Ident) -> Result<()> {
    let tokens = ty.to_token_stream();
    match associated(tokens.clone()).filter(|_| mentions(tokens, parameter)) {
        None => Ok(()),
        Some(found) => Err(syn::Error::new(
            found.span(),
            format!(
                "`{parameter}::{found}` has no gradient, and is no parameter: derive `Structure` in place of `Params` \
                 for a struct of data, or leave it out of the parameters"
            ),
        )),
    }
}

/// An associated type `Int` or `Bool` that is named anywhere in a type.
fn associated(tokens: TokenStream) -> Option<Ident> {
    let mut after_colons = 0;
    tokens.into_iter().find_map(|token| {
        let colons = after_colons;
        after_colons = 0;
        match token {
            TokenTree::Ident(found) if colons == 2 && (found == "Int" || found == "Bool") => Some(found),
            TokenTree::Punct(punct) => {
                after_colons = if punct.as_char() == ':' { colons + 1 } else { 0 };
                None
            }
            TokenTree::Group(group) => associated(group.stream()),
            TokenTree::Ident(_) | TokenTree::Literal(_) => None,
        }
    })
}

/// Whether an identifier occurs anywhere in a type.
fn mentions(tokens: TokenStream, ident: &Ident) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(found) => found == *ident,
        TokenTree::Group(group) => mentions(group.stream(), ident),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}
