#!/usr/bin/env bash
# Processor time (user seconds) to build crates that use the library in release, the library being built: what its users
# wait for after a change of their own. `benches/build_time.sh [CHECKOUT]`, by default of the library that this is in.
#
#   line fit   the README's, eagerly
#   model      the README's first, 30 lines
#   loop       a recurrent network whose loop is recorded (`scan`), one step compiled with LLVM
set -euo pipefail
library=$(realpath "${1:-$(dirname "$0")/..}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The README's block of Rust code with a word in it.
readme() {
    awk -v word="$1" '/^```rust/{code=""; inside=1; next} /^```/{if (inside && index(code, word)) printf "%s", code; inside=0}
        inside{code=code $0 "\n"}' "$library/README.md"
}

crate() {
    mkdir -p "$work/$1/src"
    cat > "$work/$1/Cargo.toml" <<TOML
[package]
name = "$1"
version = "0.1.0"
edition = "2024"
[dependencies]
antiphon = { path = "$library", features = [$2] }
[workspace]
TOML
    cat > "$work/$1/src/main.rs"
    [ -s "$work/$1/src/main.rs" ] || { echo "$1: no code in $library/README.md" >&2; exit 1; }
}

readme "slope" | crate line_fit ""
readme "Majority" | crate model ""
crate loop '"staging"' <<'RUST'
use antiphon::control::scan;
use antiphon::nn::{Init, Linear, Lstm, Recurrent, Rng};
use antiphon::optim::{Adam, OptState, Optimizer, clip_by_global_norm};
use antiphon::{NdArray, Params, Result, Tensor, TrainingStep, Var, value_and_grad};

#[derive(Clone, Params)]
struct Model<T> {
    lstm: Lstm<T>,
    out: Linear<T>,
}

fn loss<T: Tensor>(model: &Model<T>, xs: &T, ys: &T) -> T {
    let start = (model.lstm.initial(xs.shape()[1]), T::constant(0.0));
    let rows = T::concat(&[xs.clone(), ys.clone()], 2);
    let inputs = xs.shape()[2];
    let step = |(state, sum): (_, T), row: T| {
        let state = model.lstm.step(&state, &row.slice(1, 0..inputs));
        let error = model.out.apply(Lstm::output(&state)) - row.slice(1, inputs..row.shape()[1]);
        let sum = sum + error.square().mean(..);
        ((state, sum.clone()), sum)
    };
    scan(start, &rows, step).expect("rows").0.1
}

type Training<T> = (Model<T>, OptState<Model<T>>);

fn step<T: Tensor>((model, adam): &mut Training<T>, (xs, ys, lr): &(T, T, T)) -> Result<T> {
    let (loss, mut gradient) = value_and_grad(|model| loss(&model, &Var::lift(xs), &Var::lift(ys)), model)?;
    clip_by_global_norm(&mut gradient, 1.0);
    Adam::default().update(adam, model, &gradient, lr)?;
    Ok(loss)
}

fn main() -> Result<()> {
    let rng = &mut Rng::new(1);
    let model: Model<NdArray<f32>> = Model { lstm: Lstm::new(rng, 4, 16), out: Linear::new(rng, 16, 2) };
    let adam = Adam::default().init(&model);
    let [xs, ys]: [NdArray<f32>; 2] = [4, 2].map(|n| Init::Normal { mean: 0.0, std: 1.0 }.sample(&[20, 8, n], rng));
    let mut training = TrainingStep::compiled((model, adam), |state, data| step(state, data));
    for _ in 0..100 {
        training.call(&(xs.clone(), ys.clone(), NdArray::scalar(0.01)))?;
    }
    Ok(())
}
RUST

export CARGO_TARGET_DIR="$work/target"
for name in line_fit model loop; do
    cd "$work/$name"
    cargo build --release --quiet
    best=
    for _ in 1 2 3; do
        touch src/main.rs
        seconds=$({ TIMEFORMAT=%U; time cargo build --release --quiet; } 2>&1)
        best=$(printf '%s\n%s\n' "$seconds" "${best:-$seconds}" | sort -n | head -1)
    done
    "$work/target/release/$name"
    printf '%-10s %6s s\n' "$name" "$best"
done
