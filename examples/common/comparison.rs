//! Two trainings of one model side by side: how far their losses are apart, and which was faster.

use std::fmt;
use std::path::Path;

use antiphon::Result;

use super::cli::bad;
use super::curve;
use super::mode::Precision;
use super::report::Report;

/// Losses agree if they differ by less than this part of them. Programs that round in another order drift apart: by
/// less than a thousandth of this after some hundred steps in single precision.
const AGREEMENT: f64 = 0.01;

/// How many steps are looked at by themselves: few enough for differences of rounding not to have grown.
const FIRST: usize = 100;

/// `--compare`: the training that this one is compared with.
pub struct Earlier(Report);

impl Earlier {
    /// Reads its report, which has to be of the same model.
    pub fn read(path: &Path, model: &str, cell: Option<&str>, precision: Precision) -> Result<Earlier> {
        let report = Report::read(path)?;
        match (report.model.as_str(), report.cell.as_deref(), report.precision) == (model, cell, precision) {
            true => Ok(Earlier(report)),
            false => Err(bad("compare", format!("{} is of another model", path.display()))),
        }
    }

    /// Says how the two compare, and draws both.
    pub fn tell(&self, later: &Report, out: &Path) -> Result<()> {
        let picture = out.join("comparison.svg");
        curve::draw_both(&picture, &format!("{}, trained twice", later.model), [&self.0, later])?;
        println!("\n{}\nBoth loss curves: {}", Comparison::of(&self.0, later), picture.display());
        Ok(())
    }
}

/// How two trainings compare.
pub struct Comparison {
    modes: [&'static str; 2],
    /// Number of steps that both made.
    steps: usize,
    /// Largest relative differences of the losses: in the first steps, and in all.
    apart: [f64; 2],
    /// Median times of a step in milliseconds.
    step: [Option<f64>; 2],
    compile_ms: f64,
}

impl Comparison {
    fn of(earlier: &Report, later: &Report) -> Comparison {
        let losses = [earlier, later].map(|report| report.loss_unit.measure(&report.losses));
        let steps = losses[0].len().min(losses[1].len());
        let apart = |steps: usize| {
            let pairs = losses[0].iter().zip(&losses[1]).take(steps);
            pairs.map(|(a, b)| ((a - b) / a).abs()).fold(0.0, f64::max)
        };
        Comparison {
            modes: [earlier.mode.name(), later.mode.name()],
            steps,
            apart: [apart(FIRST.min(steps)), apart(steps)],
            step: [earlier.step_ms_median, later.step_ms_median],
            compile_ms: later.compile_ms,
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Comparison { modes: [earlier, later], steps, apart, .. } = self;
        let verdict = if apart[1] <= AGREEMENT { "agree" } else { "do NOT agree" };
        write!(f, "The losses of the {earlier} and of the {later} training {verdict}:")?;
        if *steps > FIRST {
            write!(f, " in the first {FIRST} steps they differ by at most {},", percent(apart[0]))?;
        }
        write!(f, " in all {steps} steps by at most {}.", percent(apart[1]))?;
        if let [Some(a), Some(b)] = self.step {
            write!(
                f,
                "\nA step took {a:.2} ms {earlier} and {b:.2} ms {later}: {:.2} times as fast.",
                a / b
            )?;
        }
        if self.compile_ms > 0.0 {
            write!(f, "\nRecording and compiling the step took {:.0} ms, once.", self.compile_ms)?;
        }
        Ok(())
    }
}

/// A share with two significant digits.
fn percent(share: f64) -> String {
    match share {
        0.0 => "0 %".into(),
        _ => {
            let percent = 100.0 * share;
            let digits = (1.0 - percent.log10().floor()).clamp(0.0, 12.0) as usize;
            format!("{percent:.digits$} %")
        }
    }
}
