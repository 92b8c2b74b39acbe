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
    /// Parameters, under this name.
    Named(String),
    /// Parameters, under the names that they have in their own structure.
    Flat,
    /// Something that is copied along.
    Configuration,
}

impl Field {
    /// Reads the field's type and attributes.
    pub fn parse(member: Member, field: &syn::Field, parameter: &Ident) -> Result<Field> {
        let mut role = match mentions(field.ty.to_token_stream(), parameter) {
            false => Role::Configuration,
            true => Role::Named(match &member {
                Member::Named(ident) => ident.unraw().to_string(),
                Member::Unnamed(index) => index.index.to_string(),
            }),
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
                    role = Role::Named(name.value());
                } else {
                    return Err(meta.error("expected `name = \"…\"` or `flatten`"));
                }
                Ok(())
            })?;
        }
        Ok(Field { member, role })
    }
}

/// Whether an identifier occurs anywhere in a type.
fn mentions(tokens: TokenStream, ident: &Ident) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(found) => found == *ident,
        TokenTree::Group(group) => mentions(group.stream(), ident),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}
