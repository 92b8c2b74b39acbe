//! Time of a training step (forward, backward, clipping, Adagrad) of the character models: `cargo bench --bench rnn`.
//!
//! `make peers` compares the same steps with NumPy.

#[path = "../examples/common/char_model.rs"]
#[allow(dead_code)] // generating text is not timed
mod char_model;
#[path = "../examples/common/memory.rs"]
mod memory;

use antiphon::nn::Rng;
use antiphon::optim::{Adagrad, Optimizer, clip_by_value};
use antiphon::{Float, IntTensor, NdArray, NdInt, Real, Var, value_and_grad};
use char_model::{CharGru, CharLstm, CharModel, CharRnn};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const VOCABULARY: usize = 26;
/// Hidden units, time steps, batch.
const SIZES: [[usize; 3]; 2] = [[50, 20, 20], [256, 50, 32]];

/// Symbols `[time, batch]` without a pattern.
fn symbols(rng: &mut Rng, [_, time, batch]: [usize; 3]) -> NdInt {
    let symbols: Vec<i64> = (0..time * batch).map(|_| (rng.uniform() * VOCABULARY as f64) as i64).collect();
    NdInt::from_elements(&[time, batch], &symbols).expect("as many as the shape says")
}

fn step<E, M>(c: &mut Criterion, name: &str)
where
    E: Float,
    M: CharModel<NdArray<E>>,
    for<'r> M::With<Var<'r, NdArray<E>>>: CharModel<Var<'r, NdArray<E>>>,
{
    let mut group = c.benchmark_group(name);
    for size in SIZES {
        let mut rng = Rng::new(1);
        let mut model = M::new(&mut rng, VOCABULARY, size[0]);
        let (inputs, targets) = (symbols(&mut rng, size), symbols(&mut rng, size));
        let optimizer = Adagrad::default();
        let mut state = optimizer.init(&model);
        let lr = NdArray::<E>::constant(0.1);
        group.bench_function(BenchmarkId::from_parameter(size.map(|n| n.to_string()).join("/")), |b| {
            b.iter(|| {
                let (loss, mut gradients) =
                    value_and_grad(|model| char_model::loss(&model, &[], &inputs, &targets).0, &model)
                        .expect("a gradient");
                clip_by_value(&mut gradients, 5.0);
                optimizer.update(&mut state, &mut model, &gradients, &lr).expect("an update");
                loss
            });
        });
    }
    group.finish();
}

fn all(c: &mut Criterion) {
    memory::keep_freed();
    step::<f32, CharRnn<_>>(c, "rnn f32");
    step::<f64, CharRnn<_>>(c, "rnn f64");
    step::<f32, CharLstm<_>>(c, "lstm f32");
    step::<f64, CharLstm<_>>(c, "lstm f64");
    step::<f32, CharGru<_>>(c, "gru f32");
    step::<f64, CharGru<_>>(c, "gru f64");
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(200))
        .measurement_time(std::time::Duration::from_millis(1000))
        .sample_size(20);
    targets = all
}
criterion_main!(benches);
