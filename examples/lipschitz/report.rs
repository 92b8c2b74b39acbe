//! All bounds of one network.

use std::path::Path;
use std::time::{Duration, Instant};

use antiphon::Result;
use antiphon::lipschitz::{Kind, LipschitzConstant, Network};
use serde_json::{Map, Value, json};

use crate::chart::{self, Bar, Bars};

/// What a method gave, and what it took.
pub struct Outcome {
    pub name: &'static str,
    pub kind: Kind,
    pub result: Result<LipschitzConstant>,
    pub ms: f64,
}

impl Outcome {
    pub fn of(name: &'static str, kind: Kind, method: impl FnOnce() -> Result<LipschitzConstant>) -> Outcome {
        let start = Instant::now();
        let result = method();
        Outcome { name, kind, result, ms: start.elapsed().as_secs_f64() * 1e3 }
    }
    pub fn value(&self) -> Option<f64> {
        self.result.as_ref().ok().map(|constant| constant.value)
    }
    /// Why there is no number.
    fn reason(&self) -> Option<String> {
        match &self.result {
            Ok(constant) if constant.value.is_finite() => None,
            Ok(_) => Some("the method finds no finite bound".into()),
            Err(error) => Some(error.to_string()),
        }
    }
    fn json(&self) -> Value {
        let value = self.value().filter(|value| value.is_finite());
        let mut entry = json!({ "value": value, "kind": self.kind.to_string(), "ms": self.ms });
        if let Some(reason) = self.reason() {
            entry["reason"] = reason.into();
        }
        entry
    }
}

/// What all methods give.
pub fn outcomes(network: &Network, limit: Duration) -> Vec<Outcome> {
    use Kind::{Estimate, LowerBound, UpperBound};
    vec![
        Outcome::of("frobenius", UpperBound, || Ok(network.frobenius())),
        Outcome::of("auto_lip", UpperBound, || Ok(network.auto_lip())),
        Outcome::of("eclipse_fast", UpperBound, || Ok(network.eclipse_fast())),
        Outcome::of("eclipse", UpperBound, || Ok(network.eclipse(limit))),
        Outcome::of("seq_lip_exact", UpperBound, || network.seq_lip_exact(limit)),
        Outcome::of("seq_lip_greedy", Estimate, || network.seq_lip_greedy()),
        Outcome::of("lipsdp_neuron", UpperBound, || network.lipsdp_neuron(limit)),
        Outcome::of("lower_bound", LowerBound, || network.lower_bound(limit)),
    ]
}

/// The bounds, and where they come from, printed, drawn and as JSON.
pub fn of_network(name: &str, network: &Network, limit: Duration, out: &Path) -> Result<Value> {
    println!("{name}: {network:?}\n");
    let outcomes = outcomes(network, limit);
    println!("{:<16} {:>16}  {:<12} {:>10}", "method", "constant", "kind", "ms");
    for outcome in &outcomes {
        let value = outcome.value().map_or("-".into(), |value| format!("{value:.9}"));
        print!("{:<16} {value:>16}  {:<12} {:>10.3}", outcome.name, outcome.kind.to_string(), outcome.ms);
        println!("{}", outcome.reason().map_or(String::new(), |reason| format!("  {reason}")));
    }
    // The bound of the first layers alone, and by what each layer changes it.
    println!("\nlayer   size          spectral norm   ECLipsE-Fast up to it   factor");
    let (mut layers, mut factors, mut before) = (Vec::new(), Vec::new(), 1.0);
    let sizes = network.sizes();
    for (i, norm) in network.layer_norms().into_iter().enumerate() {
        let (inputs, outputs, norm) = (sizes[i], sizes[i + 1], norm.value);
        let bound = network.first_layers(i + 1).eclipse_fast().value;
        let factor = bound / before;
        let size = format!("{inputs} → {outputs}");
        println!("{:<7} {size:<13} {norm:>13.6} {bound:>23.6} {factor:>8.4}", i + 1);
        layers.push(json!({
            "inputs": inputs, "outputs": outputs, "spectral_norm": norm, "eclipse_fast": bound, "factor": factor,
        }));
        factors.push([Bar::new(format!("layer {}", i + 1), norm), Bar::new(String::new(), factor)]);
        before = bound;
    }
    let bars = outcomes.iter().filter_map(|outcome| {
        let colour = match outcome.kind {
            Kind::UpperBound => 0,
            Kind::Estimate => 1,
            Kind::LowerBound => 2,
        };
        Some(Bar { name: outcome.name.into(), value: outcome.value()?, colour })
    });
    let legend = ["upper bound", "estimate", "lower bound"].map(String::from).to_vec();
    let of_bounds = Bars { title: "Lipschitz constant".into(), bars: bars.collect(), legend };
    let of_layers = Bars {
        title: "What each layer multiplies it by".into(),
        bars: factors.into_iter().flat_map(|[norm, factor]| [norm, factor.colour(1)]).collect(),
        legend: ["spectral norm", "ECLipsE-Fast"].map(String::from).to_vec(),
    };
    chart::draw(&out.join("bounds.svg"), &[of_bounds, of_layers])?;
    let mut report = Map::new();
    for outcome in &outcomes {
        report.insert(outcome.name.into(), outcome.json());
    }
    report.insert("layers".into(), layers.into());
    Ok(report.into())
}
