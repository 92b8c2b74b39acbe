//! The names and types of a structure's components, which decide whether code fits it.

use antiphon_staging::{Dtype, Type};

use crate::error::{At, Error, Result};
use crate::language::params::Path;
use crate::language::real::Real;
use crate::language::state::Leaf;
use crate::language::structure::Structure;
use crate::recording::Plain;

/// Name and type of each component.
pub(crate) type ComponentTypes = Vec<(Path, Type)>;

/// Something of a component's kind.
pub(crate) fn placeholder<T: Plain, U: Real>(leaf: &Leaf<U>) -> Leaf<T> {
    let dtype = match leaf {
        Leaf::Real(_) => T::DTYPE,
        Leaf::Int(_) => Dtype::I64,
        Leaf::Bool(_) => Dtype::Bool,
    };
    T::zeros(&Type::scalar(dtype)).expect("every interpretation has scalars")
}

/// Calls a function with every component of a structure and its name.
pub(crate) fn each_component<T: Real>(structure: &impl Structure<T>, f: &mut dyn FnMut(&Path, Leaf<T>)) {
    // Built over `f64`, which costs nothing, and dropped.
    structure.map_components::<f64>(&mut Path::default(), &mut |path, leaf| {
        let zero = placeholder(&leaf);
        f(path, leaf);
        zero
    });
}

/// Takes a structure's components, in row-major order, and their names and types, in place of others.
pub(crate) fn take_components<T: Plain>(
    structure: &impl Structure<T>,
    component_types: &mut ComponentTypes,
    components: &mut Vec<Leaf<T>>,
) {
    component_types.clear();
    components.clear();
    each_component(structure, &mut |path, leaf| {
        let leaf = T::row_major(leaf);
        component_types.push((path.clone(), T::ty(&leaf)));
        components.push(leaf);
    });
}

/// That a structure has the components of another one.
///
/// # Errors
/// [`Error::Recording`] with the first one that differs.
pub(crate) fn check_component_types(
    whole: &str,
    expected: &[(Path, Type)],
    found: &[(Path, Type)],
    at: At,
) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    let place = expected.iter().zip(found).take_while(|(expected, found)| expected == found).count();
    let reason = match (expected.get(place), found.get(place)) {
        (Some((path, was)), Some((other, is))) if path == other => {
            format!("{} is {is}, but it was {was} in {whole}", component_name(path))
        }
        (Some((path, _)), Some((other, _))) => {
            format!("there is {} where {whole} has {}", component_name(other), component_name(path))
        }
        (Some((path, _)), None) => format!("{} is missing, which {whole} has", component_name(path)),
        (None, other) => {
            let other = other.map(|(path, _)| component_name(path)).unwrap_or_default();
            format!("there is {other}, which {whole} has not")
        }
    };
    Err(Error::Recording { reason, at })
}

/// What a component is called in a message.
fn component_name(path: &Path) -> String {
    match path.to_string() {
        name if name.is_empty() => "the value".into(),
        name if name.contains(char::is_alphabetic) => name,
        place => format!("component {place}"),
    }
}
