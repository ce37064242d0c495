//! What a function's body is replaced by: values that its type suggests.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{GenericArgument, PathArguments, ReturnType, Type};

/// None where nothing can be said: the function never returns, or its type has no name.
pub fn of_return(output: &ReturnType) -> Vec<TokenStream> {
    match output {
        ReturnType::Default => vec![quote!(())],
        ReturnType::Type(_, ty) => of(ty),
    }
}

fn of(ty: &Type) -> Vec<TokenStream> {
    match ty {
        Type::Never(_) | Type::ImplTrait(_) => Vec::new(),
        Type::Paren(inner) => of(&inner.elem),
        Type::Tuple(tuple) => {
            let mut rows = vec![quote!()];
            for part in &tuple.elems {
                let values = of(part);
                rows = rows.iter().flat_map(|row| values.iter().map(move |value| quote!(#row #value,))).collect();
            }
            rows.into_iter().map(|row| quote!((#row))).collect()
        }
        Type::Array(array) => {
            let length = &array.len;
            of(&array.elem)
                .into_iter()
                .map(|value| quote!(::std::array::from_fn::<_, { #length }, _>(|_| #value)))
                .collect()
        }
        Type::Reference(reference) => match (&*reference.elem, reference.mutability) {
            (Type::Path(path), None) if path.path.is_ident("str") => vec![quote!(""), quote!("xyzzy")],
            (Type::Slice(slice), _) => {
                let full = of(&slice.elem).into_iter().map(|value| quote!(Vec::leak(vec![#value])));
                std::iter::once(quote!(Vec::leak(Vec::new()))).chain(full).collect()
            }
            (inner, None) => of(inner).into_iter().map(|value| quote!(&*Box::leak(Box::new(#value)))).collect(),
            (inner, Some(_)) => of(inner).into_iter().map(|value| quote!(Box::leak(Box::new(#value)))).collect(),
        },
        Type::Path(path) => match path.path.segments.last() {
            Some(last) => of_named(&last.ident.to_string(), &arguments(&last.arguments)),
            None => Vec::new(),
        },
        _ => vec![quote!(Default::default())],
    }
}

fn of_named(name: &str, arguments: &[&Type]) -> Vec<TokenStream> {
    let inner = || arguments.first().map_or_else(|| vec![quote!(Default::default())], |ty| of(ty));
    let each = |wrap: &dyn Fn(TokenStream) -> TokenStream| inner().into_iter().map(wrap).collect::<Vec<_>>();
    let and = |first: TokenStream, rest: Vec<TokenStream>| std::iter::once(first).chain(rest).collect();
    match name {
        "bool" => vec![quote!(true), quote!(false)],
        "String" | "Cow" => vec![quote!("".into()), quote!("xyzzy".into())],
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => vec![quote!(0), quote!(1)],
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => vec![quote!(0), quote!(1), quote!(-1)],
        "f32" | "f64" => vec![quote!(0.0), quote!(1.0), quote!(-1.0)],
        "Option" => and(quote!(None), each(&|value| quote!(Some(#value)))),
        "Result" => each(&|value| quote!(Ok(#value))),
        "Vec" => and(quote!(Vec::new()), each(&|value| quote!(vec![#value]))),
        "Box" | "Rc" | "Arc" | "Cell" | "RefCell" => each(&|value| quote!((#value).into())),
        _ => vec![quote!(Default::default())],
    }
}

fn arguments(arguments: &PathArguments) -> Vec<&Type> {
    let PathArguments::AngleBracketed(list) = arguments else { return Vec::new() };
    let types = list.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    types.collect()
}
