//! Structures by name: maps, in the order of their keys.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use crate::language::params::{Params, Path};
use crate::language::real::Real;
use crate::language::state::{Confined, Leaf, State};
use crate::language::structure::{MapComponent, Structure};

/// The entries of a map in the order of their keys, whatever the order in which it has them.
fn in_order<'m, V>(entries: impl Iterator<Item = (&'m String, V)>) -> Vec<(&'m String, V)> {
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by_key(|(name, _)| *name);
    entries
}

/// Appends what tells maps with other keys apart.
fn outline_keys<'m>(keys: impl ExactSizeIterator<Item = &'m String>, lengths: &mut Vec<usize>) {
    lengths.push(keys.len());
    for key in keys {
        lengths.push(key.len());
        lengths.extend(key.bytes().map(usize::from));
    }
}

// Of a hasher of one's own nothing is known.
// SAFETY: components are moved or cloned, and kept nowhere.
unsafe impl<T: Real, P: Confined<T>> Confined<T> for HashMap<String, P> {}
// SAFETY: components are moved or cloned, and kept nowhere.
unsafe impl<T: Real, P: Confined<T>> Confined<T> for BTreeMap<String, P> {}

macro_rules! map_structure {
    ($Map:ident $(, $S:ident: $Hasher:path)?) => {
        impl<P: Params $(, $S: $Hasher + Default + Clone)?> Params for $Map<String, P $(, $S)?> {
            type Leaf = P::Leaf;
            type With<U: Real> = $Map<String, P::With<U> $(, $S)?>;
            fn map_named<U: Real>(
                &self,
                path: &mut Path,
                f: &mut dyn FnMut(&Path, &P::Leaf) -> U,
            ) -> Self::With<U> {
                let entries = in_order(self.iter()).into_iter();
                let map = |(name, p): (&String, &P)| {
                    (name.clone(), path.descend(name.clone(), |path| p.map_named(path, f)))
                };
                entries.map(map).collect()
            }
            fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, &mut P::Leaf)) {
                for (name, p) in in_order(self.iter_mut()) {
                    path.descend(name.clone(), |path| p.visit_mut(path, f));
                }
            }
        }

        impl<T: Real, P: State<T> $(, $S: $Hasher + Default + Clone)?> State<T> for $Map<String, P $(, $S)?> {
            fn flatten(&self, leaves: &mut Vec<Leaf<T>>) {
                in_order(self.iter()).into_iter().for_each(|(_, p)| p.flatten(leaves));
            }
            fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> Self {
                let entries = in_order(self.iter()).into_iter();
                entries.map(|(name, p)| (name.clone(), p.rebuild(leaves))).collect()
            }
            fn outline(&self, lengths: &mut Vec<usize>) {
                let entries = in_order(self.iter());
                outline_keys(entries.iter().map(|(name, _)| *name), lengths);
                entries.into_iter().for_each(|(_, p)| p.outline(lengths));
            }
        }

        impl<T: Real, P: Structure<T> $(, $S: $Hasher + Default + Clone)?> Structure<T>
            for $Map<String, P $(, $S)?>
        {
            type With<U: Real> = $Map<String, P::With<U> $(, $S)?>;
            fn map_components<U: Real>(
                &self,
                path: &mut Path,
                f: MapComponent<'_, T, U>,
            ) -> Self::With<U> {
                let entries = in_order(self.iter()).into_iter();
                let map = |(name, p): (&String, &P)| {
                    (name.clone(), path.descend(name.clone(), |path| p.map_components(path, f)))
                };
                entries.map(map).collect()
            }
        }
    };
}
map_structure!(BTreeMap);
map_structure!(HashMap, S: BuildHasher);
