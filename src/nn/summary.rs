//! What a model consists of, as text.

use crate::language::params::Params;
use crate::language::shape;
use crate::language::tensor::Tensor;

/// A line for each leaf, its name, its shape and how many numbers it has, and one for all of them.
///
/// ```
/// use antiphon::NdArray;
/// use antiphon::nn::{Linear, Rng, summary};
/// let rng = &mut Rng::new(1);
/// let layers = (Linear::<NdArray<f32>>::new(rng, 784, 128), Linear::new(rng, 128, 10));
/// assert_eq!(summary(&layers), "\
/// 0.w  [784, 128]  100,352
/// 0.b  [128]           128
/// 1.w  [128, 10]     1,280
/// 1.b  [10]             10
/// all  4 arrays    101,770
/// ");
/// ```
pub fn summary<P: Params<Leaf: Tensor>>(params: &P) -> String {
    let mut lines: Vec<[String; 3]> = params
        .names()
        .into_iter()
        .zip(params.shapes())
        .map(|(name, shape)| [name, format!("{:?}", &shape[..]), thousands(shape::size(&shape))])
        .collect();
    lines.push(["all".into(), format!("{} arrays", lines.len()), thousands(params.count())]);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let [names, shapes, counts] = [0, 1, 2].map(width);
    let line =
        |[name, shape, count]: &[String; 3]| format!("{name:names$}  {shape:shapes$}  {count:>counts$}\n");
    lines.iter().map(line).collect()
}

/// A number with a comma between its thousands.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
