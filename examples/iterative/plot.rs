//! Pictures of curves with logarithmic axes.

use std::error::Error as StdError;
use std::path::Path;

use antiphon::Result;
use antiphon::error::Error;
use antiphon::io::write_atomically;
use plotters::prelude::*;

const COLOURS: [RGBColor; 6] = [
    RGBColor(25, 70, 150),
    RGBColor(220, 120, 20),
    RGBColor(40, 140, 60),
    RGBColor(180, 40, 60),
    RGBColor(120, 80, 160),
    RGBColor(100, 100, 100),
];

/// A curve with its name.
pub struct Curve {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// A number beside an axis.
fn label(x: f64) -> String {
    if (1e-2..1e4).contains(&x) { format!("{x}") } else { format!("{x:.0e}") }
}

/// Writes curves side by side in panels, each with a title and the names of its axes.
pub fn draw(path: &Path, panels: &[(&str, [&str; 2], Vec<Curve>)]) -> Result<()> {
    let mut svg = String::new();
    let drawn = (|| -> std::result::Result<(), Box<dyn StdError>> {
        let width = 640 * panels.len() as u32;
        let area = SVGBackend::with_string(&mut svg, (width, 480)).into_drawing_area();
        area.fill(&WHITE)?;
        for (part, (title, axes, curves)) in area.split_evenly((1, panels.len())).iter().zip(panels) {
            // Zeros have no place on such an axis.
            let positive = |(x, y): &&(f64, f64)| *x > 0.0 && *y > 0.0 && x.is_finite() && y.is_finite();
            let points = || curves.iter().flat_map(|curve| curve.points.iter().filter(positive));
            let range = |of: fn(&(f64, f64)) -> f64| {
                let (low, high) = points()
                    .map(of)
                    .fold((f64::INFINITY, 0.0f64), |(low, high), x| (low.min(x), high.max(x)));
                (low / 1.5)..(high * 1.5)
            };
            if points().next().is_none() {
                return Err("nothing to draw".into());
            }
            let mut chart = ChartBuilder::on(part)
                .caption(title, ("sans-serif", 20))
                .margin(12)
                .x_label_area_size(44)
                .y_label_area_size(76)
                .build_cartesian_2d(range(|p| p.0).log_scale(), range(|p| p.1).log_scale())?;
            chart
                .configure_mesh()
                .x_desc(axes[0])
                .y_desc(axes[1])
                .light_line_style(TRANSPARENT)
                .x_label_formatter(&|x| label(*x))
                .y_label_formatter(&|y| label(*y))
                .draw()?;
            for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
                let style = colour.stroke_width(2);
                let points = curve.points.iter().filter(positive).copied();
                chart
                    .draw_series(LineSeries::new(points, style))?
                    .label(&curve.name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
            }
            chart
                .configure_series_labels()
                // Curves begin or end in the other corners.
                .position(SeriesLabelPosition::LowerLeft)
                .background_style(WHITE.mix(0.8))
                .border_style(BLACK.mix(0.3))
                .draw()?;
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
