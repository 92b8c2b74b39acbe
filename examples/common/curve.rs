//! A picture of how the loss fell.

use std::error::Error as StdError;
use std::path::Path;

use antiphon::Result;
use antiphon::error::Error;
use antiphon::io::write_atomically;
use plotters::prelude::*;

/// How many steps the thick line averages over.
const WINDOW: usize = 50;

/// Draws the loss over the steps as an SVG: each step as a thin line, the mean of the last 50 as a thick one.
pub fn draw(path: &Path, title: &str, losses: &[f64]) -> Result<()> {
    let picture = render(title, losses).map_err(|error| Error::User(error.to_string().into()))?;
    write_atomically(path, picture.as_bytes())
}

fn render(title: &str, losses: &[f64]) -> Result<String, Box<dyn StdError>> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (960, 540)).into_drawing_area();
        area.fill(&WHITE)?;
        let highest = losses.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let steps = losses.len().max(2) as f64 - 1.0;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 22))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..steps, 0.0..highest * 1.05)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("step").y_desc("loss").light_line_style(TRANSPARENT);
        mesh.label_style(("sans-serif", 16)).axis_desc_style(("sans-serif", 18)).draw()?;
        let thin = losses.iter().enumerate().map(|(step, &loss)| (step as f64, loss));
        chart.draw_series(LineSeries::new(thin, RGBColor(176, 196, 222).stroke_width(1)))?;
        let mean = (0..losses.len()).map(|step| {
            let recent = &losses[(step + 1).saturating_sub(WINDOW)..=step];
            (step as f64, recent.iter().sum::<f64>() / recent.len() as f64)
        });
        chart.draw_series(LineSeries::new(mean, RGBColor(25, 70, 150).stroke_width(2)))?;
        area.present()?;
    }
    Ok(svg)
}
