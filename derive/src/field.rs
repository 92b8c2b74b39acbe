//! What one field contributes: parameters under a name, or configuration; and the names of variants.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, format_ident};
use syn::ext::IdentExt;
use syn::{Attribute, Ident, LitStr, Member, Result, Variant};

use crate::kind::Kind;

/// One field of a struct or of a variant.
pub struct Field {
    /// How to write it: `wx` or `0`.
    pub member: Member,
    /// What it is called where it is matched.
    pub bound: Ident,
    /// What it holds.
    pub role: Role,
}

/// What a field holds.
pub enum Role {
    /// Components, under these names, each below the one before.
    Components(Vec<String>, Kind),
    /// Something that is copied along.
    Configuration,
}

/// What the attributes of a field or a variant say of its name.
enum Naming {
    /// Nothing.
    Own,
    /// `#[params(name = "…")]`.
    Name(String),
    /// `#[params(flatten)]`.
    Flat,
}

impl Naming {
    fn parse(attributes: &[Attribute], refused: Option<String>) -> Result<Naming> {
        let mut naming = Naming::Own;
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("params")) {
            attribute.parse_nested_meta(|meta| {
                if let Some(reason) = &refused {
                    return Err(meta.error(reason));
                }
                if meta.path.is_ident("flatten") {
                    naming = Naming::Flat;
                } else if meta.path.is_ident("name") {
                    let name: LitStr = meta.value()?.parse()?;
                    if name.value().is_empty() {
                        return Err(syn::Error::new(name.span(), "a parameter's name cannot be empty"));
                    }
                    naming = Naming::Name(name.value());
                } else {
                    return Err(meta.error("expected `name = \"…\"` or `flatten`"));
                }
                Ok(())
            })?;
        }
        Ok(naming)
    }
}

/// The name of a variant in the path of its components, if it has one.
pub fn variant_name(variant: &Variant) -> Result<Option<String>> {
    Ok(match Naming::parse(&variant.attrs, None)? {
        Naming::Own => Some(variant.ident.unraw().to_string()),
        Naming::Name(name) => Some(name),
        Naming::Flat => None,
    })
}

impl Field {
    /// Reads the field's type and attributes. `variant` is the name of the variant that it belongs to, and `alone` says
    /// that it is the only one there and has no name of its own.
    pub fn parse(
        member: Member,
        field: &syn::Field,
        parameter: &Ident,
        variant: Option<&str>,
        alone: bool,
    ) -> Result<Field> {
        let (own, bound) = match &member {
            Member::Named(ident) => (ident.unraw().to_string(), format_ident!("__field_{}", ident.unraw())),
            Member::Unnamed(index) => (index.index.to_string(), format_ident!("__field_{}", index.index)),
        };
        let configuration = !mentions(field.ty.to_token_stream(), parameter);
        let refused = configuration
            .then(|| format!("this field is configuration: its type does not mention `{parameter}`"));
        let naming = Naming::parse(&field.attrs, refused)?;
        if configuration {
            return Ok(Field { member, bound, role: Role::Configuration });
        }
        let name = match naming {
            Naming::Own if alone && variant.is_some() => None,
            Naming::Own => Some(own),
            Naming::Name(name) => Some(name),
            Naming::Flat => None,
        };
        let names = variant.map(String::from).into_iter().chain(name).collect();
        Ok(Field { member, bound, role: Role::Components(names, Kind::of(&field.ty, parameter)) })
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
