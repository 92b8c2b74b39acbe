//! The report of a training, for programs to read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use antiphon::Result;
use antiphon::error::Error;
use antiphon::io::write_atomically;
use serde::{Deserialize, Serialize};

use super::mode::{Mode, Precision};

/// What a training did, as JSON.
#[derive(Serialize, Deserialize)]
pub struct Report {
    /// Name of the example.
    pub model: String,
    /// Kind of recurrent cell, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    pub mode: Mode,
    pub precision: Precision,
    /// How many steps the parameters have seen.
    pub steps: usize,
    /// Time to record, optimise and compile the step; zero if it runs eagerly.
    pub compile_ms: f64,
    /// Median time of the steps of this run, null if it made none.
    pub step_ms_median: Option<f64>,
    /// Their mean: what counts where steps are of different sizes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_ms_mean: Option<f64>,
    /// Shares of the held-out part that are right.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accuracy: BTreeMap<String, f64>,
    /// What `losses` are measured in.
    pub loss_unit: LossUnit,
    /// The loss of every step from the first on, those before a resumption included.
    pub losses: Vec<f64>,
}

/// What losses are measured in, wherever they are shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossUnit {
    /// "nats a character".
    pub name: String,
    /// How many of it a step's loss is the sum of.
    pub terms: usize,
}

impl LossUnit {
    /// Cross-entropy; `example` is what a loss is the mean over: "an image".
    pub fn nats(example: &str) -> LossUnit {
        LossUnit { name: format!("nats {example}"), terms: 1 }
    }

    /// Steps' losses in this unit.
    pub fn measure(&self, losses: &[f64]) -> Vec<f64> {
        losses.iter().map(|loss| loss / self.terms as f64).collect()
    }
}

impl Report {
    /// Writes the report.
    pub fn save(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_string(self).map_err(|error| Error::User(error.into()))?;
        write_atomically(path, json.as_bytes())
    }

    /// Reads one.
    pub fn read(path: &Path) -> Result<Report> {
        let json = fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
        serde_json::from_slice(&json).map_err(|error| Error::Format {
            path: path.into(),
            reason: format!("not the report of a training: {error}"),
        })
    }
}

/// The median in milliseconds.
pub fn median_ms(times: &[Duration]) -> Option<f64> {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted.get(sorted.len() / 2).map(|time| time.as_secs_f64() * 1e3)
}

/// The mean in milliseconds.
pub fn mean_ms(times: &[Duration]) -> Option<f64> {
    let total: Duration = times.iter().sum();
    (!times.is_empty()).then(|| total.as_secs_f64() * 1e3 / times.len() as f64)
}
