//! Convolutions of one and two dimensions, and how windows lie over an image.

use crate::language::composed::convolutions::{Border, Convolution};
use crate::language::tensor::Tensor;
use crate::onnx::call::{Call, Operand, count};
use crate::onnx::known::Outcome;

/// How windows lie along one axis.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    pub before: usize,
    pub after: usize,
}

impl Window {
    /// From the first to the last element of a window, both included.
    pub fn span(self) -> Outcome<usize> {
        let span = (self.kernel.saturating_sub(1)).checked_mul(self.dilation);
        span.and_then(|span| span.checked_add(1)).ok_or_else(|| format!("{self:?} is too large"))
    }
    /// How many windows there are of so many elements.
    pub fn count(self, n: usize, round_up: bool) -> Outcome<usize> {
        let padded = n.checked_add(self.before).and_then(|sum| sum.checked_add(self.after));
        let room = padded.and_then(|padded| padded.checked_sub(self.span().ok()?));
        let Some(room) = room else { return Err(format!("{self:?} does not fit into {n} elements")) };
        if !round_up {
            return Ok(room / self.stride + 1);
        }
        let count = room.div_ceil(self.stride) + 1;
        // The last one begins inside of the image, or of what is before it.
        let outside = (count - 1) * self.stride >= n + self.before;
        Ok(if outside && count > 1 { count - 1 } else { count })
    }
}

/// The windows of a node, one for each axis that has places.
pub fn windows<T: Tensor>(call: &Call<'_, T>, places: &[usize], kernel: &[usize]) -> Outcome<Vec<Window>> {
    let rank = places.len();
    let list = |name: &str, default: usize| -> Outcome<Vec<usize>> {
        let list = match call.ints_attribute(name)? {
            None => vec![default; rank],
            Some(list) => list.iter().map(|&one| count(one)).collect::<Outcome<Vec<_>>>()?,
        };
        match list.iter().any(|&one| one == 0 || one > 1 << 40) || list.len() != rank {
            true => Err(format!("{name} = {list:?} for {rank} axes of places")),
            false => Ok(list),
        }
    };
    let (strides, dilations) = (list("strides", 1)?, list("dilations", 1)?);
    if kernel.len() != rank || kernel.contains(&0) {
        return Err(format!("windows {kernel:?} for {rank} axes of places"));
    }
    let pads = match call.ints_attribute("pads")? {
        None => vec![0; 2 * rank],
        Some(list) => list.iter().map(|&one| count(one)).collect::<Outcome<Vec<_>>>()?,
    };
    if pads.len() != 2 * rank || pads.iter().any(|&pad| pad > 1 << 40) {
        return Err(format!("pads = {pads:?} for {rank} axes of places"));
    }
    let auto = call.text("auto_pad", "NOTSET")?;
    let mut windows = Vec::new();
    for i in 0..rank {
        let mut window = Window {
            kernel: kernel[i],
            stride: strides[i],
            dilation: dilations[i],
            before: pads[i],
            after: pads[rank + i],
        };
        match auto {
            "NOTSET" => {}
            "VALID" => (window.before, window.after) = (0, 0),
            "SAME_UPPER" | "SAME_LOWER" => {
                let covered = (places[i].div_ceil(window.stride).max(1) - 1).saturating_mul(window.stride);
                let missing = covered.saturating_add(window.span()?).saturating_sub(places[i]);
                let (less, more) = (missing / 2, missing - missing / 2);
                (window.before, window.after) =
                    if auto == "SAME_UPPER" { (less, more) } else { (more, less) };
            }
            other => return Err(format!("auto_pad = {other:?} is not supported")),
        }
        windows.push(window);
    }
    Ok(windows)
}

/// The lengths of the axes of places of an image, of which there are one or two.
pub fn places<T: Tensor>(x: &T) -> Outcome<Vec<usize>> {
    let whole = x.shape();
    match whole.len() {
        3 | 4 => Ok(whole[2..].to_vec()),
        _ => Err(format!(
            "{whole:?}, and images of one and two dimensions are supported: [batch, channels, .., w]"
        )),
    }
}

/// A convolution with what a node says.
fn options<const N: usize>(windows: &[Window], groups: usize) -> Convolution<N> {
    Convolution {
        stride: std::array::from_fn(|i| windows[i].stride),
        dilation: std::array::from_fn(|i| windows[i].dilation),
        groups,
        border: if windows.iter().all(|window| window.before == window.after) {
            Border::Both(std::array::from_fn(|i| windows[i].before))
        } else {
            Border::Each(std::array::from_fn(|i| (windows[i].before, windows[i].after)))
        },
    }
}

/// A bias of each channel.
fn with_bias<T: Tensor>(call: &Call<'_, T>, y: T) -> Outcome<Operand<T>> {
    let Some(bias) = call.optional_real(2)? else { return Ok(Operand::Real(y)) };
    let (whole, given) = (y.shape(), bias.shape());
    if given.as_slice() != [whole[1]] {
        return Err(format!("a bias {given:?} for {} channels", whole[1]));
    }
    let mut lengths = vec![1; whole.len() - 1];
    lengths[0] = whole[1];
    Ok(Operand::Real(y + bias.reshape(&lengths)))
}

/// The lengths of a kernel's axes of places, which the node may say as well.
fn kernel<T: Tensor>(call: &Call<'_, T>, x: &T, w: &T) -> Outcome<Vec<usize>> {
    let whole = w.shape();
    if whole.len() != x.rank() {
        return Err(format!("an image {:?} and a kernel {whole:?}", x.shape()));
    }
    let kernel = whole[2..].to_vec();
    match call.ints_attribute("kernel_shape")? {
        Some(said) if !said.iter().map(|&n| usize::try_from(n).ok()).eq(kernel.iter().map(|&n| Some(n))) => {
            Err(format!("kernel_shape = {said:?}, and the kernel is {whole:?}"))
        }
        _ => Ok(kernel),
    }
}

/// Cross-correlation.
pub fn conv<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let (x, w) = (call.real(0)?, call.real(1)?);
    let places = places(&x)?;
    let kernel = kernel(call, &x, &w)?;
    let groups = count(call.int_attribute("group", 1)?)?;
    let windows = windows(call, &places, &kernel)?;
    // All windows side by side, which is what a grouped or dilated one takes.
    let mut together = vec![x.shape()[0], x.shape()[1].max(w.shape()[0])];
    for (window, &n) in windows.iter().zip(&places) {
        together.extend([window.count(n, false)?, window.kernel]);
        call.room(&[x.shape()[0], x.shape()[1], n + window.before + window.after])?;
    }
    call.room(&together)?;
    let y = match windows.len() {
        1 => x.conv1d(&w, &options::<1>(&windows, groups)),
        _ => x.convolve2d(&w, &options::<2>(&windows, groups)),
    };
    with_bias(call, y)
}

/// The adjoint of a convolution by its image.
pub fn transposed<T: Tensor>(call: &Call<'_, T>) -> Outcome<Operand<T>> {
    let (x, w) = (call.real(0)?, call.real(1)?);
    let places = places(&x)?;
    let kernel = kernel(call, &x, &w)?;
    let groups = count(call.int_attribute("group", 1)?)?;
    let rank = places.len();
    let mut windows = windows(call, &places, &kernel)?;
    let mut further = match call.ints_attribute("output_padding")? {
        None => vec![0; rank],
        Some(list) if list.len() == rank => list.iter().map(|&n| count(n)).collect::<Outcome<Vec<_>>>()?,
        Some(list) => return Err(format!("output_padding = {list:?} for {rank} axes of places")),
    };
    let upper = call.text("auto_pad", "NOTSET")? == "SAME_UPPER";
    for (i, window) in windows.iter_mut().enumerate() {
        let wanted = match (call.ints_attribute("output_shape")?, call.text("auto_pad", "NOTSET")?) {
            // Older files give all axes, newer ones those of places.
            (Some(list), _) if list.len() >= rank => Some(count(list[list.len() - rank + i])?),
            (Some(list), _) => return Err(format!("output_shape = {list:?} for {rank} axes of places")),
            (None, "SAME_UPPER" | "SAME_LOWER") => Some(places[i].saturating_mul(window.stride)),
            _ => None,
        };
        let Some(wanted) = wanted else { continue };
        let whole = places[i].saturating_sub(1).saturating_mul(window.stride);
        let whole = whole.saturating_add(window.span()?).saturating_add(further[i]);
        further[i] = further[i].saturating_add(wanted.saturating_sub(whole));
        let cut = whole.saturating_sub(wanted);
        let (less, more) = (cut / 2, cut - cut / 2);
        (window.before, window.after) = if upper { (less, more) } else { (more, less) };
    }
    let mut together = vec![x.shape()[0], x.shape()[1].max(w.shape()[1].saturating_mul(groups))];
    for ((window, &n), &further) in windows.iter().zip(&places).zip(&further) {
        let size = n.saturating_mul(window.stride).saturating_add(window.span()?).saturating_add(further);
        together.extend([size, window.kernel]);
    }
    call.room(&together)?;
    let y = match rank {
        1 => x.conv_transpose1d(&w, &options::<1>(&windows, groups), further[0]),
        _ => x.conv_transpose2d(&w, &options::<2>(&windows, groups), [further[0], further[1]]),
    };
    with_bias(call, y)
}
