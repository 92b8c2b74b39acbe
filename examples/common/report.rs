//! The report of a training, for programs to read.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use antiphon::Result;
use antiphon::error::Error;
use antiphon::io::write_atomically;
use serde::Serialize;

/// What a training did, as JSON.
#[derive(Serialize)]
pub struct Report<'a> {
    /// Name of the example.
    pub model: &'a str,
    /// Kind of recurrent cell, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cell: Option<&'a str>,
    /// `eager` or `staged`.
    pub mode: &'a str,
    /// `f32` or `f64`.
    pub precision: &'a str,
    /// How many steps the parameters have seen.
    pub steps: usize,
    /// Time to record, optimise and compile the step; zero if it runs eagerly.
    pub compile_ms: f64,
    /// Median time of the steps of this run, null if it made none.
    pub step_ms_median: Option<f64>,
    /// Their mean: what counts where steps are of different sizes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_ms_mean: Option<f64>,
    /// Shares of the held-out part that are right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<&'a BTreeMap<String, f64>>,
    /// The loss of every step from the first on, those before a resumption included.
    pub losses: &'a [f64],
}

impl Report<'_> {
    /// Writes the report.
    pub fn save(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_string(self).map_err(|error| Error::User(error.into()))?;
        write_atomically(path, json.as_bytes())
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
