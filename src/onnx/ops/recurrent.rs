//! Recurrent layers: scans over the steps of a sequence.

use crate::continuation::unwinding::OrRaise;
use crate::language::real::{Int, Mask};
use crate::language::state::{State, chosen};
use crate::language::tensor::{IntTensor, Tensor};
use crate::onnx::call::{Call, Operand, ints};
use crate::onnx::graph::Attribute;
use crate::onnx::known::Outcome;
use crate::onnx::table::Op;

/// The weights of one direction.
struct Direction<T> {
    /// `[hidden, gates·hidden]`.
    recurrent: T,
    /// `[gates·hidden]`, added after the product with the state.
    recurrent_bias: T,
    /// Of all steps: `[steps, batch, gates·hidden]`.
    inputs: T,
    /// `[batch, hidden]`.
    hidden: T,
    cell: T,
    /// One where a step is before the end of its sequence, else zero, `[steps, batch, 1]`, if any has an end.
    active: Option<T>,
}

impl<T: Tensor> Direction<T> {
    /// The outputs of all steps, zero behind the end of each sequence, and the state there, or, on the way back, where
    /// it begins.
    fn run<S: State<T>>(&self, begin: S, step: impl Fn(S, T) -> (S, T)) -> (S, T) {
        let Some(active) = &self.active else {
            return T::scan_rows(begin, &self.inputs, step).or_raise();
        };
        let masked = |state: S, (x, active): (T, T)| {
            let mask = active.greater(&T::constant(0.5));
            let (next, y) = step(state.clone(), x);
            (chosen(&mask, &next, &state), T::select(&mask, &y, &T::constant(0.0)))
        };
        T::scan_rows(begin, &(self.inputs.clone(), active.clone()), masked).or_raise()
    }
}

/// Which steps are before the end of their sequences, if there are such that are not.
fn active<T: Tensor>(call: &Call<'_, T>, steps: usize, batch: usize) -> Outcome<Option<T>> {
    let Some(lengths) = call.optional(4) else { return Ok(None) };
    if lengths.shape()[..] != [batch] {
        return Err(format!("lengths {:?} of {batch} sequences", lengths.shape()));
    }
    if let Ok(known) = call.known_ints(4) {
        if let Some(length) = known.iter().find(|length| !(0..=steps as i64).contains(length)) {
            return Err(format!("a sequence of {length} steps, and there are {steps}"));
        }
        if known.iter().all(|&length| length == steps as i64) {
            return Ok(None);
        }
    }
    let lengths = call.int(4)?;
    let [none, all] = [0, steps as i64].map(T::Int::constant);
    let fit = lengths.greater_equal(&none).and(&lengths.less_equal(&all));
    T::ensure(&fit, "the lengths of sequences are numbers of steps, from none to all");
    let counting: Vec<i64> = (0..steps as i64).collect();
    let before = ints::<T>(&[steps, 1, 1], &counting).less(&lengths.reshape(&[1, batch, 1]));
    Ok(Some(T::from_mask(&before)))
}

/// One layer, in one direction or both.
pub fn layer<T: Tensor>(call: &Call<'_, T>) -> Outcome<Vec<Operand<T>>> {
    let op = call.node.op;
    let (x, w, r) = (call.real(0)?, call.real(1)?, call.real(2)?);
    let (gates, defaults): (usize, &[&str]) = match op {
        Op::RNN => (1, &["Tanh"]),
        Op::GRU => (3, &["Sigmoid", "Tanh"]),
        _ => (4, &["Sigmoid", "Tanh", "Tanh"]),
    };
    call.demand("input_forget", 0)?;
    // With layout 1 the batch comes first.
    let batch_first = call.flag("layout", false)?;
    let x = if batch_first && x.rank() == 3 { x.permute(&[1, 0, 2]) } else { x };
    let (of_x, of_w, of_r) = (x.shape(), w.shape(), r.shape());
    let (&[steps, batch, input], &[directions, rows, width], &[_, _, hidden]) =
        (of_x.as_slice(), of_w.as_slice(), of_r.as_slice())
    else {
        return Err(format!("operands {of_x:?}, {of_w:?} and {of_r:?}, which have to have three axes"));
    };
    let wide = hidden.saturating_mul(gates);
    if rows != wide || width != input || of_r[..2] != [directions, wide] || hidden == 0 || steps == 0 {
        return Err(format!("weights {of_w:?} and {of_r:?} for inputs {of_x:?}"));
    }
    let backward: &[bool] = match call.text("direction", "forward")? {
        "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return Err(format!("direction = {other:?} is not supported")),
    };
    if backward.len() != directions {
        return Err(format!("weights of {directions} directions"));
    }
    let usual = defaults.iter().copied().cycle().take(defaults.len() * directions);
    if let Some(Attribute::Strings(names)) = call.node.attributes.get("activations")
        && !names.iter().map(String::as_str).eq(usual)
    {
        return Err(format!("activations = {names:?} are not supported"));
    }
    let active = active(call, steps, batch)?;
    if call.optional(7).is_some() {
        return Err("peepholes are not supported".into());
    }
    let bias = match call.optional_real(3)? {
        Some(bias) if bias.shape()[..] == [directions, 2 * wide] => bias,
        Some(bias) => return Err(format!("a bias {:?}", bias.shape())),
        None => T::zeros(&[directions, 2 * wide]),
    };
    let given = |i: usize| -> Outcome<Option<T>> {
        let swapped = |state: T| if state.rank() == 3 { state.permute(&[1, 0, 2]) } else { state };
        Ok(call.optional_real(i)?.map(|state| if batch_first { swapped(state) } else { state }))
    };
    let state = |i: usize| match given(i)? {
        Some(state) if state.shape()[..] == [directions, batch, hidden] => Ok(state),
        Some(state) => Err(format!("operand {i} is {:?}", state.shape())),
        None => Ok(T::zeros(&[directions, batch, hidden])),
    };
    let initial = state(5)?;
    let cells = if op == Op::LSTM { state(6)? } else { T::zeros(&[directions, batch, hidden]) };
    let (mut outputs, mut last, mut last_cells) = (Vec::new(), Vec::new(), Vec::new());
    let after = call.flag("linear_before_reset", false)?;
    for (i, &backward) in backward.iter().enumerate() {
        let ordered = if backward { x.flip(0) } else { x.clone() };
        let of_input = bias.index(0, i).slice(0, 0..wide);
        let direction = Direction {
            recurrent: r.index(0, i).transpose(),
            recurrent_bias: bias.index(0, i).slice(0, wide..2 * wide),
            inputs: ordered.matmul(&w.index(0, i).transpose()) + of_input,
            hidden: initial.index(0, i),
            cell: cells.index(0, i),
            active: active.as_ref().map(|active| if backward { active.flip(0) } else { active.clone() }),
        };
        let (y, h, c) = match op {
            Op::RNN => simple(direction),
            Op::GRU => gated(direction, hidden, after),
            _ => long(direction, hidden),
        };
        outputs.push(if backward { y.flip(0) } else { y });
        last.push(h);
        last_cells.push(c);
    }
    let results = match batch_first {
        false => [T::stack(&outputs, 1), T::stack(&last, 0), T::stack(&last_cells, 0)],
        true => [T::stack(&outputs, 1).permute(&[2, 0, 1, 3]), T::stack(&last, 1), T::stack(&last_cells, 1)],
    };
    Ok(results.into_iter().take(call.node.outputs.len()).map(Operand::Real).collect())
}

/// `h' = tanh(x + h·R + b)`.
fn simple<T: Tensor>(d: Direction<T>) -> (T, T, T) {
    let step = |h: T, x: T| {
        let h = (h.matmul(&d.recurrent) + &d.recurrent_bias + x).tanh();
        (h.clone(), h)
    };
    let (h, y) = d.run(d.hidden.clone(), step);
    (y, h, d.cell)
}

/// Gates `z`, `r`, and the candidate, in this order: `h' = (1 − z)·candidate + z·h`.
fn gated<T: Tensor>(d: Direction<T>, n: usize, after: bool) -> (T, T, T) {
    let gate = |x: &T, i: usize| x.slice(-1, i * n..(i + 1) * n);
    // What is multiplied before it is reset has a product of its own.
    let width = if after { 3 * n } else { 2 * n };
    let [weights, bias] = [&d.recurrent, &d.recurrent_bias].map(|w| w.slice(-1, 0..width));
    let of_candidate = (!after).then(|| [&d.recurrent, &d.recurrent_bias].map(|w| gate(w, 2)));
    let step = |h: T, x: T| {
        let product = h.matmul(&weights) + &bias;
        let [z, r] = [0, 1].map(|i| (gate(&x, i) + gate(&product, i)).sigmoid());
        let candidate = match &of_candidate {
            None => r * gate(&product, 2),
            Some([weights, bias]) => (r * &h).matmul(weights) + bias,
        };
        let candidate = (gate(&x, 2) + candidate).tanh();
        let h = candidate.clone() + z * (h - &candidate);
        (h.clone(), h)
    };
    let (h, y) = d.run(d.hidden.clone(), step);
    (y, h, d.cell)
}

/// Gates `i`, `o`, `f`, and the candidate, in this order: `c' = f·c + i·candidate`, `h' = o·tanh c'`.
fn long<T: Tensor>(d: Direction<T>, n: usize) -> (T, T, T) {
    let step = |(h, c): (T, T), x: T| {
        let sums = h.matmul(&d.recurrent) + &d.recurrent_bias + x;
        let gate = |i: usize| sums.slice(-1, i * n..(i + 1) * n);
        let [input, output, forget] = [0, 1, 2].map(|i| gate(i).sigmoid());
        let c = forget * c + input * gate(3).tanh();
        let h = output * c.tanh();
        ((h.clone(), c), h)
    };
    let ((h, c), y) = d.run((d.hidden.clone(), d.cell.clone()), step);
    (y, h, c)
}
