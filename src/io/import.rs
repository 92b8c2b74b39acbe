//! [`Import`]: weights that another program has saved, taken over into a structure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use safetensors::tensor::TensorInfo;

use super::header::Header;
use super::imported::{ImportReport, Imported, StoredArray};
use super::safetensors::{REALS, at_end, in_order, number, unread};
use super::stored::{Encoding, Number, read_values};
use super::wanted::{Differences, axes, shown};
use super::{Stored, Values, format_error, io_error, open};
use crate::error::{Error, Result};
use crate::language::params::{self, Params};

/// How a `.safetensors` file of another program is taken over into a structure.
///
/// As it is made it is as strict as [`load_safetensors`](super::load_safetensors): every leaf takes the array of its
/// own name and shape, and nothing is left. Each method allows one thing more. Patterns are of the leaves' names, in
/// which `*` stands for anything ([`params::matches`]); one that no leaf matches is an error.
///
/// ```
/// use antiphon::io::{Import, save_safetensors};
/// use antiphon::{NdArray, Params, Tensor};
/// # #[derive(Clone, Params)]
/// # struct Torch<T> {
/// #     #[params(name = "fc.weight")]
/// #     w: T,
/// #     #[params(name = "fc.bias")]
/// #     b: T,
/// #     #[params(name = "fc.steps")]
/// #     steps: T,
/// # }
/// # let path = std::env::temp_dir().join(format!("antiphon-import-{}.safetensors", std::process::id()));
/// # let weight = NdArray::from_elements(&[1, 2], &[3.0, 4.0])?;
/// # save_safetensors(&path, &Torch { w: weight, b: vec![5.0].into(), steps: NdArray::scalar(7.0) })?;
///
/// // The file has `fc.weight` of shape [out, in], `fc.bias`, and a counter.
/// let mut layer = antiphon::nn::Linear::<NdArray<f32>> { w: NdArray::zeros(&[2, 1]), b: Some(NdArray::zeros(&[1])) };
/// let report = Import::new()
///     .names(|leaf| Some(format!("fc.{}", if leaf == "w" { "weight" } else { "bias" })))
///     .transposed("w")
///     .allow_unused()
///     .load_safetensors(&path, &mut layer)?;
/// assert_eq!(layer.w, NdArray::from_elements(&[2, 1], &[3.0, 4.0])?);
/// assert_eq!(report.unused[0].to_string(), "fc.steps: F64[]");
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), antiphon::Error>(())
/// ```
pub struct Import<'f> {
    names: Option<Box<NameOf<'f>>>,
    orders: Vec<(String, Order)>,
    integers: Vec<String>,
    missing: bool,
    unused: bool,
}

/// From a leaf's name to that of the array that it takes, if any.
type NameOf<'f> = dyn Fn(&str) -> Option<String> + 'f;

/// Where a leaf's axes are in the file's array.
#[derive(Clone, Debug)]
enum Order {
    LastTwo,
    Axes(Vec<usize>),
}

impl fmt::Debug for Import<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Import")
            .field("orders", &self.orders)
            .field("integers", &self.integers)
            .field("missing", &self.missing)
            .field("unused", &self.unused)
            .finish_non_exhaustive()
    }
}

impl Default for Import<'_> {
    fn default() -> Self {
        Import::new()
    }
}

impl<'f> Import<'f> {
    /// Every leaf from the array of its own name and shape, and nothing left.
    pub fn new() -> Import<'f> {
        Import { names: None, orders: vec![], integers: vec![], missing: false, unused: false }
    }

    /// Which array a leaf takes, from the leaf's name; none, if it is to stay as it is. Several leaves may take one.
    #[must_use]
    pub fn names(mut self, name_of: impl Fn(&str) -> Option<String> + 'f) -> Self {
        self.names = Some(Box::new(name_of));
        self
    }

    /// Leaves whose last two axes stand the other way round in the file, as PyTorch's `[out, in]` do.
    #[must_use]
    pub fn transposed(mut self, pattern: &str) -> Self {
        self.orders.push((pattern.into(), Order::LastTwo));
        self
    }

    /// Leaves whose axis `i` is axis `order[i]` in the file, as in [`Tensor::permute`](crate::Tensor::permute). Of
    /// several orders for a leaf the last one counts.
    #[must_use]
    pub fn permuted(mut self, pattern: &str, order: &[usize]) -> Self {
        self.orders.push((pattern.into(), Order::Axes(order.into())));
        self
    }

    /// Leaves that may be integers or truth values in the file. They become the nearest reals: exact up to 2⁵³ in
    /// double precision, and up to 2²⁴ in single.
    #[must_use]
    pub fn integers_as_reals(mut self, pattern: &str) -> Self {
        self.integers.push(pattern.into());
        self
    }

    /// Leaves of which the file has nothing stay as they are. It has to have one at least.
    #[must_use]
    pub fn allow_missing(mut self) -> Self {
        self.missing = true;
        self
    }

    /// Arrays that no leaf takes are left, whatever their numbers are.
    #[must_use]
    pub fn allow_unused(mut self) -> Self {
        self.unused = true;
        self
    }

    /// Fills a structure from a file, and says what became of the structure's leaves and of the file's arrays.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Format`], naming the file and the leaves, if it is not a
    /// `.safetensors` file, is truncated or damaged, if leaves are of another shape or type of numbers, missing or left
    /// over where that is not allowed, or if a pattern matches no leaf. The structure is as before then.
    pub fn load_safetensors<P: Params<Leaf: Stored>>(
        &self,
        path: impl AsRef<Path>,
        params: &mut P,
    ) -> Result<ImportReport> {
        let path = path.as_ref();
        let file = open(path)?;
        let size = file.metadata().map_err(|source| io_error(path, source))?.len();
        let mut file = BufReader::new(file);
        let header = Header::read(path, &mut file)?;
        let leaves = self.leaves(path, params)?;
        let report = self.compare(path, &header, &leaves)?;
        let mut arrays = read(path, &header, &leaves, &mut file, size)?;
        // How many leaves have yet to take each array: the last one gets it, and the others copies.
        let mut left: BTreeMap<&str, usize> = BTreeMap::new();
        for array in leaves.iter().filter_map(|leaf| leaf.array.as_deref()) {
            *left.entry(array).or_default() += 1;
        }
        let mut values = BTreeMap::new();
        for leaf in &leaves {
            let Some(array) = leaf.array.as_deref().filter(|array| arrays.contains_key(*array)) else {
                continue;
            };
            let left = left.get_mut(array).expect("it was counted");
            *left -= 1;
            let value = match (&leaf.order, *left) {
                (Some(order), _) => {
                    let permuted = arrays[array].permuted(order);
                    permuted.map_err(|error| unread(path, array, error))?
                }
                (None, 0) => arrays.remove(array).expect("it is there"),
                (None, _) => arrays[array].clone(),
            };
            values.insert(leaf.name.as_str(), value);
        }
        params.visit_mut(&mut params::Path::default(), &mut |name, leaf| {
            if let Some(values) = values.remove(name.to_string().as_str()) {
                *leaf = P::Leaf::from_values(values);
            }
        });
        Ok(report)
    }

    /// What each leaf takes.
    fn leaves<P: Params<Leaf: Stored>>(&self, path: &Path, params: &P) -> Result<Vec<Wish>> {
        let mut leaves = Vec::new();
        let mut names = BTreeSet::new();
        let mut differences = Differences::default();
        params.visit(&mut |name, leaf| {
            let name = name.to_string();
            if !names.insert(name.clone()) {
                differences.add(|| format!("two parameters are named {name}"));
            }
            let values = leaf.to_values();
            let shape = values.shape().to_vec();
            let array = match &self.names {
                Some(names) => names(&name),
                None => Some(name.clone()),
            };
            let order = self.orders.iter().rev().find(|(pattern, _)| params::matches(pattern, &name));
            let order = order.and_then(|(_, order)| match order.of_rank(shape.len()) {
                Ok(order) => order,
                Err(reason) => {
                    differences.add(|| format!("{name} of shape {shape:?} {reason}"));
                    None
                }
            });
            let integers = self.integers.iter().any(|pattern| params::matches(pattern, &name));
            leaves.push(Wish { name, shape, number: values.number(), array, order, integers });
        });
        for pattern in self.orders.iter().map(|(pattern, _)| pattern).chain(&self.integers) {
            if !names.iter().any(|name| params::matches(pattern, name)) {
                differences.add(|| format!("no parameter's name matches {pattern:?}"));
            }
        }
        match differences.into_text() {
            None => Ok(leaves),
            Some(text) => Err(format_error(path, text)),
        }
    }

    /// What will become of leaves and arrays, if all of it is allowed.
    fn compare(&self, path: &Path, header: &Header, leaves: &[Wish]) -> Result<ImportReport> {
        let mut report = ImportReport::default();
        let mut differences = Differences::default();
        let mut taken = BTreeSet::new();
        for Wish { name, shape, array, order, integers, .. } in leaves {
            let Some(array) = array else {
                report.kept.push(name.clone());
                continue;
            };
            let Some(info) = header.arrays.get(array) else {
                if !self.missing {
                    let sought =
                        if array == name { String::new() } else { format!(" (as {})", shown(array)) };
                    differences.add(|| format!("{name} is missing{sought}"));
                }
                report.missing.push((name.clone(), shape.clone()));
                continue;
            };
            taken.insert(array.as_str());
            let number = number(info.dtype);
            if number.is_none_or(|number| !number.is_real() && !integers) {
                let holds = info.dtype.to_string();
                differences.add(|| format!("{name} holds {holds} numbers, but should hold {REALS}"));
            }
            let expected = in_the_file(shape, order.as_deref());
            if expected != info.shape {
                let found = axes(&info.shape);
                differences.add(|| format!("{name} has shape {found} but should have {expected:?}"));
            }
            report.loaded.push(Imported {
                leaf: name.clone(),
                array: stored(array, info),
                order: order.clone(),
            });
        }
        for (name, info) in header.arrays.iter().filter(|(name, _)| !taken.contains(name.as_str())) {
            if !self.unused {
                differences.add(|| format!("{} is not a parameter", shown(name)));
            }
            report.unused.push(stored(name, info));
        }
        if report.loaded.is_empty() && !report.missing.is_empty() {
            differences.add(|| "it has none of the parameters".into());
        }
        match differences.into_text() {
            None => Ok(report),
            Some(text) => Err(format_error(path, text)),
        }
    }
}

impl Order {
    /// The order of this many axes, unless it is their own.
    fn of_rank(&self, rank: usize) -> Result<Option<Vec<usize>>, &'static str> {
        let own: Vec<usize> = (0..rank).collect();
        let order = match self {
            Order::LastTwo if rank < 2 => return Err("has no two axes to be transposed"),
            Order::LastTwo => {
                let mut order = own.clone();
                order.swap(rank - 2, rank - 1);
                order
            }
            Order::Axes(order) => {
                let mut sorted = order.clone();
                sorted.sort_unstable();
                if sorted != own {
                    return Err("has other axes than the order that was given for it");
                }
                order.clone()
            }
        };
        Ok(Some(order).filter(|order| *order != own))
    }
}

/// A leaf, and what it takes of a file.
struct Wish {
    name: String,
    shape: Vec<usize>,
    /// The numbers that it becomes.
    number: Number,
    array: Option<String>,
    order: Option<Vec<usize>>,
    /// Whether integers will do.
    integers: bool,
}

/// The shape in the file of what has a shape in the order of the leaf's axes.
fn in_the_file(shape: &[usize], order: Option<&[usize]>) -> Vec<usize> {
    let mut there = shape.to_vec();
    for (i, &axis) in order.unwrap_or_default().iter().enumerate() {
        there[axis] = shape[i];
    }
    there
}

fn stored(name: &str, info: &TensorInfo) -> StoredArray {
    StoredArray { name: name.into(), numbers: info.dtype.to_string(), shape: info.shape.clone() }
}

/// The arrays that leaves take; the others are passed over.
fn read(
    path: &Path,
    header: &Header,
    leaves: &[Wish],
    file: &mut BufReader<File>,
    size: u64,
) -> Result<BTreeMap<String, Values<'static>>> {
    let wanted: BTreeMap<&str, Number> =
        leaves.iter().filter_map(|leaf| Some((leaf.array.as_deref()?, leaf.number))).collect();
    let in_order = in_order(path, header)?;
    // To pass over what is not there would be no error.
    let data = size.saturating_sub(header.bytes.len() as u64);
    let mut arrays = BTreeMap::new();
    for (name, info) in in_order {
        if info.data_offsets.1 as u64 > data {
            return Err(truncated(path, name));
        }
        let (Some(number), Some(&wanted)) = (number(info.dtype), wanted.get(name.as_str())) else {
            let bytes = info.data_offsets.1 - info.data_offsets.0;
            file.seek_relative(bytes as i64).map_err(|source| io_error(path, source))?;
            continue;
        };
        let values = read_values(file, &info.shape, Encoding::plain(number), wanted);
        arrays.insert(name.clone(), values.map_err(|error| unread(path, name, error))?);
    }
    at_end(path, file)?;
    Ok(arrays)
}

fn truncated(path: &Path, name: &str) -> Error {
    format_error(path, format!("truncated: the file ends within {}", shown(name)))
}
