//! The implementations.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, GenericParam, Generics, Ident, Member, Result, TypeParam};
use syn::{Type, TypeParamBound, Variant, WherePredicate};

use crate::field::{Field, Role, refuse_associated, variant_name};
use crate::kind::Kind;

/// A struct or an enum that one of the derives is applied to.
struct Input<'a> {
    name: &'a Ident,
    /// The type parameter.
    t: &'a Ident,
    /// Of a struct there is one.
    variants: Vec<Parts>,
    generics: Generics,
    /// The parameter in the structure over another interpretation, and that structure's arguments.
    u: Ident,
    with: TokenStream,
    /// The types of what it has components in, boxes, options and lists of them and itself left out.
    parts: Vec<Type>,
}

/// A struct, or a variant of an enum.
struct Parts {
    /// How to write it: `Rnn` or `Layer::Linear`.
    constructor: TokenStream,
    fields: Vec<(Field, Span)>,
}

impl Parts {
    /// The pattern that binds all fields.
    fn pattern(&self) -> TokenStream {
        let Parts { constructor, fields } = self;
        let bound = fields.iter().map(|(Field { member, bound, .. }, _)| quote!(#member: #bound));
        quote!(#constructor { #(#bound,)* })
    }

    /// The arm that makes each field anew.
    fn anew(&self, component: impl Fn(&Kind, Span, &TokenStream) -> TokenStream, named: bool) -> TokenStream {
        let (pattern, constructor) = (self.pattern(), &self.constructor);
        let fields = self.fields.iter().map(|(Field { member, bound, role }, span)| match role {
            Role::Configuration => quote_spanned!(*span=> #member: ::core::clone::Clone::clone(#bound)),
            Role::Components(names, kind) => {
                let value = component(kind, *span, &quote!(#bound));
                let value = if named { below(names, *span, value) } else { value };
                quote_spanned!(*span=> #member: #value)
            }
        });
        quote!(#pattern => #constructor { #(#fields,)* })
    }

    /// The arm that goes through all fields, after what is done first.
    fn through(
        &self,
        first: TokenStream,
        component: impl Fn(&Kind, Span, &TokenStream) -> TokenStream,
        named: bool,
    ) -> TokenStream {
        let pattern = self.pattern();
        let fields = self.fields.iter().map(|(Field { bound, role, .. }, span)| match role {
            Role::Configuration => quote!(let _ = #bound;),
            Role::Components(names, kind) => {
                let done = component(kind, *span, &quote!(#bound));
                let done = if named { below(names, *span, quote!({ #done })) } else { done };
                quote_spanned!(*span=> { #done })
            }
        });
        quote!(#pattern => { #first #(#fields)* })
    }
}

/// What is done below some names in the path.
fn below(names: &[String], span: Span, value: TokenStream) -> TokenStream {
    names.iter().rev().fold(value, |value, name| quote_spanned!(span=> path.descend(#name, |path| #value)))
}

impl Input<'_> {
    fn new<'a>(input: &'a DeriveInput, what: &str) -> Result<Input<'a>> {
        let parts = all_fields(input, what)?;
        let parameter = the_type_parameter(input)?;
        check_bounds(&input.generics, parameter)?;
        let t = &parameter.ident;
        let (mut variants, mut types) = (Vec::new(), Vec::new());
        for (variant, fields) in parts {
            let label = variant.map(variant_name).transpose()?.flatten();
            let alone = fields.len() == 1 && matches!(fields, Fields::Unnamed(_));
            let parse = |(field, member): (&syn::Field, Member)| {
                Ok((Field::parse(member, field, t, label.as_deref(), alone)?, at(&field.ty)))
            };
            let name = &input.ident;
            let constructor = match variant.map(|variant| &variant.ident) {
                Some(variant) => quote!(#name::#variant),
                None => quote!(#name),
            };
            let parsed: Vec<(Field, Span)> =
                fields.iter().zip(fields.members()).map(parse).collect::<Result<_>>()?;
            for ((field, _), of) in parsed.iter().zip(fields) {
                if let Role::Components(_, kind) = &field.role {
                    let mut parts = Vec::new();
                    kind.innermost(&of.ty, &mut parts);
                    types.extend(parts.into_iter().filter(|ty| !is_called(ty, name)).cloned());
                }
            }
            variants.push(Parts { constructor, fields: parsed });
        }
        let u = format_ident!("__U");
        let with = type_arguments(&input.generics, &u);
        let mut generics = input.generics.clone();
        for param in generics.type_params_mut() {
            param.bounds.push(syn::parse_quote!(::antiphon::Real));
        }
        Ok(Input { name: &input.ident, t, variants, generics, u, with, parts: types })
    }

    /// `impl Confined`, if that is known: what is copied along mentions no interpretation, and without a lifetime can
    /// hold no variable of one.
    fn confined(&self) -> TokenStream {
        let Input { name, t, generics, parts, .. } = self;
        if generics.lifetimes().next().is_some() {
            return TokenStream::new();
        }
        let mut bounded = (*generics).clone();
        let clause = bounded.make_where_clause();
        for part in parts {
            clause.predicates.push(syn::parse_quote!(#part: ::antiphon::state::Confined<#t>));
        }
        let (_, type_generics, _) = generics.split_for_impl();
        let (impl_generics, _, where_clause) = bounded.split_for_impl();
        quote! {
            // SAFETY: what is flattened and rebuilt is what the fields are made of, which are confined themselves.
            #[automatically_derived]
            unsafe impl #impl_generics ::antiphon::state::Confined<#t> for #name #type_generics #where_clause {}
        }
    }

    /// `impl State`.
    fn state(&self) -> TokenStream {
        let Input { name, t, variants, .. } = self;
        let (impl_generics, type_generics, where_clause) = self.generics.split_for_impl();
        let none = TokenStream::new;
        let flattened = variants
            .iter()
            .map(|parts| parts.through(none(), |kind, span, x| kind.flatten(span, x, t), false));
        let rebuilt =
            variants.iter().map(|parts| parts.anew(|kind, span, x| kind.rebuild(span, x, t), false));
        let outlined = variants.iter().enumerate().map(|(number, parts)| {
            // Which variant it is may differ between values, too.
            let first = if variants.len() > 1 { quote!(lengths.push(#number);) } else { none() };
            parts.through(first, |kind, span, x| kind.outline(span, x, t), false)
        });
        quote! {
            #[automatically_derived]
            #[allow(unused_variables, reason = "variants without components use neither path nor function")]
            impl #impl_generics ::antiphon::State<#t> for #name #type_generics #where_clause {
                fn flatten(&self, leaves: &mut ::std::vec::Vec<::antiphon::state::Leaf<#t>>) {
                    match self { #(#flattened)* }
                }

                fn rebuild(
                    &self,
                    leaves: &mut dyn ::core::iter::Iterator<Item = ::antiphon::state::Leaf<#t>>,
                ) -> Self {
                    match self { #(#rebuilt,)* }
                }

                fn outline(&self, lengths: &mut ::std::vec::Vec<usize>) {
                    match self { #(#outlined)* }
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

/// `impl Params`, `impl State` and `impl Structure` for a structure of parameters.
pub fn params(input: &DeriveInput) -> Result<TokenStream> {
    if let (Ok(parts), Ok(parameter)) = (all_fields(input, "Params"), the_type_parameter(input)) {
        for field in parts.into_iter().flat_map(|(_, fields)| fields) {
            refuse_associated(&field.ty, &parameter.ident)?;
        }
    }
    let input = Input::new(input, "Params")?;
    let Input { name, t, variants, u, with, .. } = &input;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let mapped = variants.iter().map(|parts| parts.anew(|kind, span, x| kind.map(span, x), true));
    let visited = variants
        .iter()
        .map(|parts| parts.through(TokenStream::new(), |kind, span, x| kind.visit(span, x), true));
    let (state, structure) =
        (input.state(), input.structure(&quote!(::antiphon::structure::map_params(self, path, f))));
    let confined = input.confined();
    Ok(quote! {
        #[automatically_derived]
        #[allow(unused_variables, reason = "variants without components use neither path nor function")]
        impl #impl_generics ::antiphon::Params for #name #type_generics #where_clause {
            type Leaf = #t;
            type With<#u: ::antiphon::Real> = #name #with;

            fn map_named<#u: ::antiphon::Real>(
                &self,
                path: &mut ::antiphon::params::Path,
                f: &mut dyn ::core::ops::FnMut(&::antiphon::params::Path, &#t) -> #u,
            ) -> #name #with {
                match self { #(#mapped,)* }
            }

            fn visit_mut(
                &mut self,
                path: &mut ::antiphon::params::Path,
                f: &mut dyn ::core::ops::FnMut(&::antiphon::params::Path, &mut #t),
            ) {
                match self { #(#visited)* }
            }
        }
        #state
        #structure
        #confined
    })
}

/// `impl State` and `impl Structure` for a structure of reals, integers and truth values.
pub fn structure(input: &DeriveInput) -> Result<TokenStream> {
    let input = Input::new(input, "Structure")?;
    let mapped = input
        .variants
        .iter()
        .map(|parts| parts.anew(|kind, span, x| kind.map_components(span, x, input.t), true));
    let (state, structure) = (input.state(), input.structure(&quote!(match self { #(#mapped,)* })));
    let confined = input.confined();
    Ok(quote! { #state #structure #confined })
}

/// Whether a type is that of this name, whatever its arguments.
fn is_called(ty: &Type, name: &Ident) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == *name))
}

/// The fields of a struct, or of each variant of an enum.
fn all_fields<'a>(input: &'a DeriveInput, derive: &str) -> Result<Vec<(Option<&'a Variant>, &'a Fields)>> {
    match &input.data {
        Data::Struct(data) => Ok(vec![(None, &data.fields)]),
        Data::Enum(data) if data.variants.is_empty() => Err(Error::new(
            data.enum_token.span,
            format!("{derive} cannot be derived for an enum without variants: there is no value of it"),
        )),
        Data::Enum(data) => {
            Ok(data.variants.iter().map(|variant| (Some(variant), &variant.fields)).collect())
        }
        Data::Union(data) => Err(Error::new(
            data.union_token.span,
            format!(
                "{derive} can be derived for structs and enums only: what the leaves of a union are, nothing tells"
            ),
        )),
    }
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
            Type::Path(path) if path.path.is_ident(&parameter.ident) => Some(&bound.bounds),
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
fn at(ty: &Type) -> Span {
    ty.span().resolved_at(Span::call_site())
}
