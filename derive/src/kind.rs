//! What a field's type is made of, and the code that goes through it.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{GenericArgument, Ident, Index, PathArguments, Type};

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
    /// What is in a box. `Box<P>` cannot be a structure by itself, since other crates may make an interpretation of
    /// one.
    /// By boxes structures are of themselves, so the stack is looked at.
    Boxed(Box<Kind>),
    /// Those of what is in an `Option`, of something that is no structure by itself.
    Option(Box<Kind>),
    /// Those of the elements of a `Vec`, likewise.
    List(Box<Kind>),
    /// Those of the elements of an array, likewise.
    Array(Box<Kind>),
    /// Those of the parts of a tuple, one of which is no structure by itself.
    Tuple(Vec<Kind>),
}

impl Kind {
    /// What a type is made of that mentions the type parameter.
    pub fn of(ty: &Type, parameter: &Ident) -> Kind {
        let ty = match ty {
            // As macros pass types on.
            Type::Group(group) => return Kind::of(&group.elem, parameter),
            Type::Paren(paren) => return Kind::of(&paren.elem, parameter),
            Type::Array(array) => {
                return match Kind::of(&array.elem, parameter) {
                    Kind::Nested => Kind::Nested,
                    inner => Kind::Array(Box::new(inner)),
                };
            }
            Type::Tuple(tuple) => {
                let parts: Vec<Kind> = tuple.elems.iter().map(|part| Kind::of(part, parameter)).collect();
                let nested = parts.iter().all(|part| matches!(part, Kind::Nested));
                return if nested { Kind::Nested } else { Kind::Tuple(parts) };
            }
            Type::Path(ty) => ty,
            _ => return Kind::Nested,
        };
        let segments: Vec<&Ident> = ty.path.segments.iter().map(|segment| &segment.ident).collect();
        let of_parameter = match (&ty.qself, &segments[..]) {
            (None, [of, _]) => *of == parameter,
            (Some(of), [.., of_trait, _]) => {
                *of_trait == "Real" && matches!(&*of.ty, Type::Path(of) if of.path.is_ident(parameter))
            }
            _ => false,
        };
        let Some(last) = ty.path.segments.last() else { return Kind::Nested };
        if of_parameter && (last.ident == "Int" || last.ident == "Bool") {
            let get = Ident::new(&last.ident.to_string().to_lowercase(), last.ident.span());
            return Kind::Associated { leaf: last.ident.clone(), get };
        }
        let PathArguments::AngleBracketed(arguments) = &last.arguments else { return Kind::Nested };
        let inner = match arguments.args.first() {
            Some(GenericArgument::Type(inner)) if arguments.args.len() == 1 => Kind::of(inner, parameter),
            _ => return Kind::Nested,
        };
        match (last.ident.to_string().as_str(), inner) {
            ("Box", inner) => Kind::Boxed(Box::new(inner)),
            // What is a structure by itself.
            (_, Kind::Nested) => Kind::Nested,
            ("Option", inner) => Kind::Option(Box::new(inner)),
            ("Vec", inner) => Kind::List(Box::new(inner)),
            _ => Kind::Nested,
        }
    }

    /// Adds the types of what is in boxes, options, lists and tuples, where there are types for it.
    pub fn innermost<'t>(&self, ty: &'t Type, types: &mut Vec<&'t Type>) {
        match (self, ty) {
            (_, Type::Group(group)) => self.innermost(&group.elem, types),
            (_, Type::Paren(paren)) => self.innermost(&paren.elem, types),
            (Kind::Nested, ty) => types.push(ty),
            (Kind::Array(inner), Type::Array(array)) => inner.innermost(&array.elem, types),
            (Kind::Tuple(parts), Type::Tuple(tuple)) => {
                parts.iter().zip(&tuple.elems).for_each(|(part, ty)| part.innermost(ty, types));
            }
            (Kind::Boxed(inner) | Kind::Option(inner) | Kind::List(inner), Type::Path(ty)) => {
                let Some(last) = ty.path.segments.last() else { return };
                let PathArguments::AngleBracketed(arguments) = &last.arguments else { return };
                if let Some(GenericArgument::Type(of)) = arguments.args.first() {
                    inner.innermost(of, types);
                }
            }
            _ => {}
        }
    }

    /// The same structure, by what `leaf` makes of a reference to what is no box, option or list here. `named` says
    /// whether elements of lists have numbers in the path.
    fn rebuilt(&self, span: Span, value: &TokenStream, named: bool, leaf: &Leaf<'_>) -> TokenStream {
        let each = quote_spanned!(span=> __each);
        match self {
            Kind::Nested | Kind::Associated { .. } => leaf(self, value),
            Kind::Boxed(inner) => {
                let inner = inner.rebuilt(span, &quote_spanned!(span=> &**#value), named, leaf);
                quote_spanned!(span=> ::std::boxed::Box::new(::antiphon::stack::guard(|| #inner)))
            }
            Kind::Option(inner) => {
                let inner = inner.rebuilt(span, &each, named, leaf);
                quote_spanned! {span=>
                    match #value {
                        ::core::option::Option::Some(#each) => ::core::option::Option::Some(#inner),
                        ::core::option::Option::None => ::core::option::Option::None,
                    }
                }
            }
            Kind::List(inner) => {
                let inner = numbered(span, named, inner.rebuilt(span, &each, named, leaf));
                quote_spanned! {span=> {
                    let mut __list = ::std::vec::Vec::with_capacity(#value.len());
                    for (__number, #each) in #value.iter().enumerate() {
                        __list.push(#inner);
                    }
                    __list
                }}
            }
            Kind::Array(inner) => {
                let inner = numbered(span, named, inner.rebuilt(span, &each, named, leaf));
                quote_spanned! {span=>
                    ::core::array::from_fn(|__number| {
                        let #each = &(#value)[__number];
                        #inner
                    })
                }
            }
            Kind::Tuple(parts) => {
                let parts = parts.iter().enumerate().map(|(number, part)| {
                    let (index, name) = (Index::from(number), number.to_string());
                    let part = part.rebuilt(span, &quote_spanned!(span=> (&(#value).#index)), named, leaf);
                    match named {
                        true => quote_spanned!(span=> path.descend(#name, |path| #part)),
                        false => part,
                    }
                });
                quote_spanned!(span=> (#(#parts,)*))
            }
        }
    }

    /// Goes through the structure, with what `leaf` does with a reference to what is no box, option or list here, and
    /// `before` with that to an option or a list.
    fn visited(
        &self,
        span: Span,
        value: &TokenStream,
        mutable: bool,
        before: &Before<'_>,
        leaf: &Leaf<'_>,
    ) -> TokenStream {
        let each = quote_spanned!(span=> __each);
        match self {
            Kind::Nested | Kind::Associated { .. } => leaf(self, value),
            Kind::Boxed(inner) => {
                let value = match mutable {
                    true => quote_spanned!(span=> &mut **#value),
                    false => quote_spanned!(span=> &**#value),
                };
                let inner = inner.visited(span, &value, mutable, before, leaf);
                quote_spanned!(span=> ::antiphon::stack::guard(|| { #inner }))
            }
            Kind::Option(inner) => {
                let start = before(&quote_spanned!(span=> (#value).iter().len()));
                let inner = inner.visited(span, &each, mutable, before, leaf);
                quote_spanned!(span=> #start if let ::core::option::Option::Some(#each) = #value { #inner })
            }
            Kind::List(inner) => {
                let start = before(&quote_spanned!(span=> (#value).len()));
                let inner = numbered(span, mutable, inner.visited(span, &each, mutable, before, leaf));
                let iterate = Ident::new(if mutable { "iter_mut" } else { "iter" }, span);
                quote_spanned! {span=>
                    #start
                    for (__number, #each) in (#value).#iterate().enumerate() {
                        #inner;
                    }
                }
            }
            Kind::Array(inner) => {
                let inner = numbered(span, mutable, inner.visited(span, &each, mutable, before, leaf));
                let iterate = Ident::new(if mutable { "iter_mut" } else { "iter" }, span);
                quote_spanned! {span=>
                    for (__number, #each) in (#value).#iterate().enumerate() {
                        #inner;
                    }
                }
            }
            Kind::Tuple(parts) => {
                let parts = parts.iter().enumerate().map(|(number, part)| {
                    let (index, name) = (Index::from(number), number.to_string());
                    let value = match mutable {
                        true => quote_spanned!(span=> (&mut (#value).#index)),
                        false => quote_spanned!(span=> (&(#value).#index)),
                    };
                    let part = part.visited(span, &value, mutable, before, leaf);
                    match mutable {
                        true => quote_spanned!(span=> path.descend(#name, |path| { #part })),
                        false => quote_spanned!(span=> { #part }),
                    }
                });
                quote_spanned!(span=> { #(#parts;)* })
            }
        }
    }

    /// `Params::map_named`.
    pub fn map(&self, span: Span, value: &TokenStream) -> TokenStream {
        self.rebuilt(
            span,
            value,
            true,
            &|_, value| quote_spanned!(span=> ::antiphon::Params::map_named(#value, path, f)),
        )
    }

    /// `Structure::map_components`.
    pub fn map_components(&self, span: Span, value: &TokenStream, t: &Ident) -> TokenStream {
        self.rebuilt(span, value, true, &|kind, value| match kind {
            Kind::Associated { leaf, get } => {
                let leaf = quote_spanned!(span=> ::antiphon::state::Leaf::#leaf);
                quote_spanned!(span=> f(path, #leaf(::core::clone::Clone::clone(#value))).#get())
            }
            _ => quote_spanned!(span=> ::antiphon::Structure::<#t>::map_components(#value, path, f)),
        })
    }

    /// `Params::visit_mut`.
    pub fn visit(&self, span: Span, value: &TokenStream) -> TokenStream {
        self.visited(
            span,
            value,
            true,
            &|_| TokenStream::new(),
            &|_, value| quote_spanned!(span=> ::antiphon::Params::visit_mut(#value, path, f)),
        )
    }

    /// `State::flatten`.
    pub fn flatten(&self, span: Span, value: &TokenStream, t: &Ident) -> TokenStream {
        self.visited(span, value, false, &|_| TokenStream::new(), &|kind, value| match kind {
            Kind::Associated { leaf, .. } => {
                let leaf = quote_spanned!(span=> ::antiphon::state::Leaf::#leaf);
                quote_spanned!(span=> leaves.push(#leaf(::core::clone::Clone::clone(#value))))
            }
            _ => quote_spanned!(span=> ::antiphon::State::<#t>::flatten(#value, leaves)),
        })
    }

    /// `State::rebuild`.
    pub fn rebuild(&self, span: Span, value: &TokenStream, t: &Ident) -> TokenStream {
        self.rebuilt(span, value, false, &|kind, value| match kind {
            Kind::Associated { get, .. } => {
                quote_spanned!(span=> ::antiphon::state::Leaf::<#t>::next(leaves).#get())
            }
            _ => quote_spanned!(span=> ::antiphon::State::<#t>::rebuild(#value, leaves)),
        })
    }

    /// `State::outline`.
    pub fn outline(&self, span: Span, value: &TokenStream, t: &Ident) -> TokenStream {
        let length = |length: &TokenStream| quote!(lengths.push(#length););
        self.visited(span, value, false, &length, &|kind, value| match kind {
            Kind::Associated { .. } => quote!({}),
            _ => quote_spanned!(span=> ::antiphon::State::<#t>::outline(#value, lengths)),
        })
    }
}

/// What is done with a reference to a part.
type Leaf<'f> = dyn Fn(&Kind, &TokenStream) -> TokenStream + 'f;

/// What is done with the length of a list before its elements.
type Before<'f> = dyn Fn(&TokenStream) -> TokenStream + 'f;

/// What is done for one element of a list, below its number in the path where there is one.
fn numbered(span: Span, named: bool, inner: TokenStream) -> TokenStream {
    match named {
        true => quote_spanned!(span=> path.descend(__number, |path| #inner)),
        false => quote_spanned!(span=> { let _ = __number; #inner }),
    }
}
