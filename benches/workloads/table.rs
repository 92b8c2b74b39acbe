//! Measurements by Criterion, and the table of them.

use std::time::{Duration, Instant};

use antiphon::TrainingStep;
use criterion::Criterion;

use crate::common::mode::Mode;

/// What was measured of a workload.
struct Row {
    name: String,
    /// Milliseconds of a step, eagerly and compiled: the best sample, and the median one.
    steps: [Option<(f64, f64)>; 2],
    compile_ms: f64,
}

/// Measures workloads.
pub struct Table {
    criterion: Criterion,
    wanted: Vec<String>,
    rows: Vec<Row>,
}

impl Table {
    pub fn new() -> Table {
        let criterion = Criterion::default()
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(Duration::from_millis(1500))
            .sample_size(20)
            .configure_from_args();
        let wanted = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
        Table { criterion, wanted, rows: Vec::new() }
    }

    /// The modes to measure a workload in: none if it was not asked for, since making its data and compiling take long.
    pub fn modes(&self, name: &str) -> &'static [Mode] {
        match self.wanted.is_empty() || self.wanted.iter().any(|part| name.contains(part)) {
            true if cfg!(feature = "staging") => &[Mode::Eager, Mode::Compiled],
            true => &[Mode::Eager],
            false => &[],
        }
    }

    /// Measures a step in a mode: the mean over some data.
    pub fn measure<S, D, R>(&mut self, name: &str, mode: Mode, step: TrainingStep<'_, S, D, R>, data: &[D]) {
        #[cfg(feature = "staging")]
        let mut step = step.configure(|options| options.cache = None);
        #[cfg(not(feature = "staging"))]
        let mut step = step;
        step.call(&data[0]).expect("a step");
        let mut samples = Vec::new();
        let mut group = self.criterion.benchmark_group(name);
        group.bench_function(mode.name(), |b| {
            b.iter_custom(|rounds| {
                let start = Instant::now();
                for _ in 0..rounds {
                    for data in data {
                        step.call(data).expect("a step");
                    }
                }
                let time = start.elapsed() / data.len() as u32;
                samples.push(time.as_secs_f64() * 1e3 / rounds as f64);
                time
            });
        });
        group.finish();
        samples.sort_by(f64::total_cmp);
        if self.rows.last().is_none_or(|row| row.name != name) {
            self.rows.push(Row { name: name.into(), steps: [None; 2], compile_ms: 0.0 });
        }
        let row = self.rows.last_mut().expect("there is one");
        row.steps[mode as usize] = samples.first().map(|&best| (best, samples[samples.len() / 2]));
        row.compile_ms += step.compile_time().as_secs_f64() * 1e3;
    }

    /// All rows, in Markdown.
    pub fn print(self) {
        self.criterion.final_summary();
        println!("\nMilliseconds of a training step in f32: best, median\n");
        println!("| workload | eager | compiled | eager ÷ compiled | compiling |");
        println!("|---|---|---|---|---|");
        for Row { name, steps, compile_ms } in &self.rows {
            let [eager, compiled] = steps
                .map(|step| step.map_or("–".into(), |(best, median)| format!("{best:.3}, {median:.3}")));
            let (ratio, compiling) = match steps {
                [Some((eager, _)), Some((compiled, _))] => {
                    (format!("{:.1}", eager / compiled), format!("{compile_ms:.0}"))
                }
                _ => ("–".into(), "–".into()),
            };
            println!("| {name} | {eager} | {compiled} | {ratio} | {compiling} |");
        }
    }
}
