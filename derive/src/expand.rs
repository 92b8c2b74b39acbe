//! The implementations.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, GenericParam, Generics, Ident, Member, Result, TypeParam};
use syn::{TypeParamBound, WherePredicate};

use crate::field::{Field, Kind, Role, refuse_associated};

/// A struct that one of the derives is applied to.
struct Input<'a> {
    name: &'a Ident,
    /// The type parameter.
    t: &'a Ident,
    fields: Vec<(Field, Span)>,
    generics: Generics,
    /// The parameter in the struct over another interpretation, and that struct's arguments.
    u: Ident,
    with: TokenStream,
}

impl Input<'_> {
    fn new<'a>(input: &'a DeriveInput, what: &str) -> Result<Input<'a>> {
        let fields = struct_fields(input, what)?;
        let parameter = the_type_parameter(input)?;
        check_bounds(&input.generics, parameter)?;
        let t = &parameter.ident;
        let fields: Vec<(Field, Span)> = fields
            .iter()
            .zip(fields.members())
            .map(|(field, member)| Ok((Field::parse(member, field, t)?, at(&field.ty))))
            .collect::<Result<_>>()?;
        let u = format_ident!("__U");
        let with = type_arguments(&input.generics, &u);
        let mut generics = input.generics.clone();
        for param in generics.type_params_mut() {
            param.bounds.push(syn::parse_quote!(::antiphon::Real));
        }
        Ok(Input { name: &input.ident, t, fields, generics, u, with })
    }

    /// `impl State`.
    fn state(&self) -> TokenStream {
        let Input { name, t, fields, .. } = self;
        let (impl_generics, type_generics, where_clause) = self.generics.split_for_impl();
        let flattened = fields.iter().filter_map(|(field, span)| flatten(field, *span, t));
        let rebuilt = fields.iter().map(|(field, span)| rebuild(field, *span, t));
        let outlined = fields.iter().filter_map(|(field, span)| outline(field, *span, t));
        quote! {
            #[automatically_derived]
            impl #impl_generics ::antiphon::State<#t> for #name #type_generics #where_clause {
                fn flatten(&self, leaves: &mut ::std::vec::Vec<::antiphon::state::Leaf<#t>>) {
                    #(#flattened;)*
                }

                fn rebuild(
                    &self,
                    leaves: &mut dyn ::core::iter::Iterator<Item = ::antiphon::state::Leaf<#t>>,
                ) -> Self {
                    #name { #(#rebuilt,)* }
                }

                fn outline(&self, lengths: &mut ::std::vec::Vec<usize>) {
                    #(#outlined;)*
                }
            }
        }
    }

    /// `impl Structure`, whose method is `body`.
    fn structure(&self, body: &TokenStream) -> TokenStream {
        let Input { name, t, u, with, .. } = self;
        let (impl_generics, type_generics, where_clause) = self.generics.split_for_impl();
        quote! {
            #[automatically_derived]
            impl #impl_generics ::antiphon::Structure<#t> for #name #type_generics #where_clause {
                type With<#u: ::antiphon::Real> = #name #with;

                fn map_components<#u: ::antiphon::Real>(
                    &self,
                    path: &mut ::antiphon::params::Path,
                    f: &mut dyn ::core::ops::FnMut(
                        &::antiphon::params::Path,
                        ::antiphon::state::Leaf<#t>,
                    ) -> ::antiphon::state::Leaf<#u>,
                ) -> #name #with {
                    #body
                }
            }
        }
    }
}

/// `impl Params`, `impl State` and `impl Structure` for a struct of parameters.
pub fn params(input: &DeriveInput) -> Result<TokenStream> {
    if let (Ok(fields), Ok(parameter)) = (struct_fields(input, "Params"), the_type_parameter(input)) {
        for field in fields {
            refuse_associated(&field.ty, &parameter.ident)?;
        }
    }
    let input = Input::new(input, "Params")?;
    let Input { name, t, fields, u, with, .. } = &input;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let mapped = fields.iter().map(|(field, span)| map(field, *span));
    let visited = fields.iter().filter_map(|(field, span)| visit(field, *span));
    let (state, structure) =
        (input.state(), input.structure(&quote!(::antiphon::structure::map_params(self, path, f))));
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::antiphon::Params for #name #type_generics #where_clause {
            type Leaf = #t;
            type With<#u: ::antiphon::Real> = #name #with;

            fn map_named<#u: ::antiphon::Real>(
                &self,
                path: &mut ::antiphon::params::Path,
                f: &mut dyn ::core::ops::FnMut(&::antiphon::params::Path, &#t) -> #u,
            ) -> #name #with {
                #name { #(#mapped,)* }
            }

            fn visit_mut(
                &mut self,
                path: &mut ::antiphon::params::Path,
                f: &mut dyn ::core::ops::FnMut(&::antiphon::params::Path, &mut #t),
            ) {
                #(#visited;)*
            }
        }
        #state
        #structure
    })
}

/// `impl State` and `impl Structure` for a struct of reals, integers and truth values.
pub fn structure(input: &DeriveInput) -> Result<TokenStream> {
    let input = Input::new(input, "Structure")?;
    let mapped = input.fields.iter().map(|(field, span)| map_components(field, *span, input.t));
    let name = input.name;
    let (state, structure) = (input.state(), input.structure(&quote!(#name { #(#mapped,)* })));
    Ok(quote! { #state #structure })
}

fn struct_fields<'a>(input: &'a DeriveInput, derive: &str) -> Result<&'a Fields> {
    let (span, what) = match &input.data {
        Data::Struct(data) => return Ok(&data.fields),
        Data::Enum(data) => (data.enum_token.span, "an enum"),
        Data::Union(data) => (data.union_token.span, "a union"),
    };
    Err(Error::new(
        span,
        format!("{derive} can be derived for structs only: the leaves of {what} would depend on its value"),
    ))
}

fn the_type_parameter(input: &DeriveInput) -> Result<&TypeParam> {
    let mut parameters = input.generics.type_params();
    let Some(first) = parameters.next() else {
        return Err(Error::new(
            input.ident.span(),
            format!(
                "a structure of parameters is generic in what its leaves are: `struct {}<T> {{ … }}`",
                input.ident
            ),
        ));
    };
    match parameters.next() {
        None => Ok(first),
        Some(second) => Err(Error::new(
            second.ident.span(),
            format!(
                "a structure of parameters has one type parameter, and `{}` is it; \
                 a nested structure of parameters is written out: `layer: Linear<{}>`",
                first.ident, first.ident
            ),
        )),
    }
}

/// Refuses the two bounds that a user is tempted to write and that `With<U: Real>` could never meet.
fn check_bounds(generics: &Generics, parameter: &TypeParam) -> Result<()> {
    let of_where = generics.where_clause.iter().flat_map(|clause| &clause.predicates);
    let of_where = of_where.filter_map(|predicate| match predicate {
        WherePredicate::Type(bound) => match &bound.bounded_ty {
            syn::Type::Path(path) if path.path.is_ident(&parameter.ident) => Some(&bound.bounds),
            _ => None,
        },
        _ => None,
    });
    for bound in of_where.flatten().chain(&parameter.bounds) {
        let TypeParamBound::Trait(bound) = bound else { continue };
        let Some(last) = bound.path.segments.last() else { continue };
        if ["Tensor", "Control"].iter().any(|name| last.ident == name) {
            return Err(Error::new(
                bound.span(),
                format!(
                    "the structure has to exist over every `Real`: declare `{}` without this bound, \
                     and put the bound on the functions that use it",
                    parameter.ident
                ),
            ));
        }
    }
    Ok(())
}

/// The struct's generic arguments with its type parameter replaced.
fn type_arguments(generics: &Generics, u: &Ident) -> TokenStream {
    let arguments = generics.params.iter().map(|param| match param {
        GenericParam::Lifetime(param) => {
            let lifetime = &param.lifetime;
            quote!(#lifetime)
        }
        GenericParam::Type(_) => quote!(#u),
        GenericParam::Const(param) => {
            let ident = &param.ident;
            quote!(#ident)
        }
    });
    quote!(<#(#arguments),*>)
}

/// Errors point at the field's type; names are resolved as everywhere in the derive, also where a macro wrote the type.
fn at(ty: &syn::Type) -> Span {
    ty.span().resolved_at(Span::call_site())
}

fn map(Field { member, role }: &Field, span: Span) -> TokenStream {
    let inner = quote_spanned!(span=> ::antiphon::Params::map_named(&self.#member, path, f));
    match role {
        Role::Named(name, _) => quote_spanned!(span=> #member: path.descend(#name, |path| #inner)),
        Role::Flat => quote_spanned!(span=> #member: #inner),
        Role::Configuration => copy(member, span),
    }
}

fn map_components(Field { member, role }: &Field, span: Span, t: &Ident) -> TokenStream {
    let nested = quote_spanned!(span=> ::antiphon::Structure::<#t>::map_components(&self.#member, path, f));
    match role {
        Role::Named(name, Kind::Nested) => {
            quote_spanned!(span=> #member: path.descend(#name, |path| #nested))
        }
        Role::Named(name, Kind::Associated { leaf, get }) => {
            let leaf = quote_spanned!(span=> ::antiphon::state::Leaf::#leaf);
            quote_spanned! {span=>
                #member: path.descend(#name, |path| f(path, #leaf(::core::clone::Clone::clone(&self.#member))).#get())
            }
        }
        Role::Flat => quote_spanned!(span=> #member: #nested),
        Role::Configuration => copy(member, span),
    }
}

fn visit(Field { member, role }: &Field, span: Span) -> Option<TokenStream> {
    let inner = quote_spanned!(span=> ::antiphon::Params::visit_mut(&mut self.#member, path, f));
    match role {
        Role::Named(name, _) => Some(quote_spanned!(span=> path.descend(#name, |path| #inner))),
        Role::Flat => Some(inner),
        Role::Configuration => None,
    }
}

fn flatten(Field { member, role }: &Field, span: Span, t: &Ident) -> Option<TokenStream> {
    match role {
        Role::Configuration => None,
        Role::Named(_, Kind::Associated { leaf, .. }) => {
            let leaf = quote_spanned!(span=> ::antiphon::state::Leaf::#leaf);
            Some(quote_spanned!(span=> leaves.push(#leaf(::core::clone::Clone::clone(&self.#member)))))
        }
        _ => Some(quote_spanned!(span=> ::antiphon::State::<#t>::flatten(&self.#member, leaves))),
    }
}

fn rebuild(Field { member, role }: &Field, span: Span, t: &Ident) -> TokenStream {
    match role {
        Role::Configuration => copy(member, span),
        Role::Named(_, Kind::Associated { get, .. }) => {
            quote_spanned!(span=> #member: ::antiphon::state::Leaf::<#t>::next(leaves).#get())
        }
        _ => quote_spanned!(span=> #member: ::antiphon::State::<#t>::rebuild(&self.#member, leaves)),
    }
}

fn outline(Field { member, role }: &Field, span: Span, t: &Ident) -> Option<TokenStream> {
    match role {
        Role::Configuration | Role::Named(_, Kind::Associated { .. }) => None,
        _ => Some(quote_spanned!(span=> ::antiphon::State::<#t>::outline(&self.#member, lengths))),
    }
}

fn copy(member: &Member, span: Span) -> TokenStream {
    quote_spanned!(span=> #member: ::core::clone::Clone::clone(&self.#member))
}
