//! Charts of horizontal bars.

use std::error::Error as StdError;
use std::path::Path;

use antiphon::Result;
use antiphon::error::Error;
use antiphon::io::write_atomically;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const COLOURS: [RGBColor; 3] = [RGBColor(25, 70, 150), RGBColor(220, 120, 20), RGBColor(40, 140, 60)];
const ROW: i32 = 26;
const NAMES: i32 = 130;
const WIDTH: i32 = 640;

/// A bar, and which of the legend's names it belongs to.
pub struct Bar {
    pub name: String,
    pub value: f64,
    pub colour: usize,
}

impl Bar {
    pub fn new(name: String, value: f64) -> Bar {
        Bar { name, value, colour: 0 }
    }
    pub fn colour(self, colour: usize) -> Bar {
        Bar { colour, ..self }
    }
}

/// Bars from top to bottom, and what their colours mean.
pub struct Bars {
    pub title: String,
    pub bars: Vec<Bar>,
    pub legend: Vec<String>,
}

/// A number in as few digits as tell it.
fn label(x: f64) -> String {
    if (1e-2..1e5).contains(&x) { format!("{x:.4}") } else { format!("{x:.3e}") }
}

/// Writes charts side by side.
pub fn draw(path: &Path, charts: &[Bars]) -> Result<()> {
    let mut svg = String::new();
    let drawn = (|| -> std::result::Result<(), Box<dyn StdError>> {
        let rows = charts.iter().map(|chart| chart.bars.len()).max().unwrap_or(0) as i32;
        let size = ((WIDTH * charts.len() as i32) as u32, (90 + ROW * rows) as u32);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        for (part, chart) in area.split_evenly((1, charts.len())).iter().zip(charts) {
            let text = |size: i32, right: bool| {
                let side = if right { HPos::Right } else { HPos::Left };
                ("sans-serif", size).into_font().color(&BLACK).pos(Pos::new(side, VPos::Center))
            };
            part.draw(&Text::new(chart.title.clone(), (16, 24), text(20, false)))?;
            for (i, name) in chart.legend.iter().enumerate() {
                let x = 16 + 150 * i as i32;
                part.draw(&Rectangle::new([(x, 47), (x + 12, 59)], COLOURS[i].filled()))?;
                part.draw(&Text::new(name.clone(), (x + 18, 53), text(14, false)))?;
            }
            // What is infinite has no length.
            let finite = chart.bars.iter().map(|bar| bar.value).filter(|value| value.is_finite());
            let longest = finite.fold(f64::MIN_POSITIVE, f64::max);
            for (i, bar) in chart.bars.iter().enumerate() {
                let top = 74 + ROW * i as i32;
                let middle = top + ROW / 2 - 2;
                part.draw(&Text::new(bar.name.clone(), (NAMES - 8, middle), text(14, true)))?;
                let share = if bar.value.is_finite() { bar.value / longest } else { 1.0 };
                let end = NAMES + (share * f64::from(WIDTH - NAMES - 110)) as i32;
                let style = COLOURS[bar.colour].filled();
                part.draw(&Rectangle::new([(NAMES, top + 2), (end.max(NAMES + 1), top + ROW - 6)], style))?;
                part.draw(&Text::new(label(bar.value), (end + 6, middle), text(13, false)))?;
            }
        }
        area.present()?;
        Ok(())
    })();
    drawn.map_err(|error| Error::User(error.to_string().into()))?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|source| Error::Io { path: folder.into(), source })?;
    }
    write_atomically(path, svg.as_bytes())
}
