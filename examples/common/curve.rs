//! Pictures of how losses fell.

use std::error::Error as StdError;
use std::path::Path;

use antiphon::Result;
use antiphon::error::Error;
use antiphon::io::write_atomically;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::report::Report;

/// How many steps a mean is taken over.
const WINDOW: usize = 50;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Outcome = Result<(), Box<dyn StdError>>;

/// A line with its name, if it has one.
struct Line<'a> {
    name: Option<&'a str>,
    colour: RGBColor,
    width: u32,
    points: Vec<(f64, f64)>,
}

/// Draws the loss over the steps as an SVG: each step as a thin line, the mean of the last 50 as a thick one.
pub fn draw(path: &Path, title: &str, losses: &[f64]) -> Result<()> {
    let points = |losses: Vec<f64>| losses.into_iter().enumerate().map(|(x, y)| (x as f64, y)).collect();
    let lines = [
        Line { name: None, colour: RGBColor(176, 196, 222), width: 1, points: points(losses.to_vec()) },
        Line { name: None, colour: RGBColor(25, 70, 150), width: 2, points: points(means(losses)) },
    ];
    save(path, (960, 540), |area| panel(&area, title, "step", &lines))
}

/// Draws the losses of two trainings as an SVG, means of 50 steps: over the steps, and over the time that they took.
pub fn draw_both(path: &Path, title: &str, trainings: [&Report; 2]) -> Result<()> {
    let styles = [(RGBColor(250, 190, 110), 7), (RGBColor(25, 70, 150), 2)];
    let lines = |x: fn(&Report, f64) -> f64| {
        [0, 1].map(|i| Line {
            name: Some(trainings[i].mode.name()),
            colour: styles[i].0,
            width: styles[i].1,
            points: means(&trainings[i].losses)
                .into_iter()
                .enumerate()
                .map(|(step, loss)| (x(trainings[i], step as f64), loss))
                .collect(),
        })
    };
    let seconds = |report: &Report, steps: f64| {
        (report.compile_ms + steps * report.step_ms_median.unwrap_or_default()) / 1e3
    };
    save(path, (1500, 540), |area| {
        let (left, right) = area.split_horizontally(750);
        panel(&left, title, "step", &lines(|_, step| step))?;
        panel(&right, "The same over time", "seconds, at the median time of a step", &lines(seconds))
    })
}

/// Of each step, the mean of the steps up to it.
fn means(losses: &[f64]) -> Vec<f64> {
    let mean = |step: usize| {
        let recent = &losses[(step + 1).saturating_sub(WINDOW)..=step];
        recent.iter().sum::<f64>() / recent.len() as f64
    };
    (0..losses.len()).map(mean).collect()
}

fn save(path: &Path, size: (u32, u32), draw: impl FnOnce(Area<'_>) -> Outcome) -> Result<()> {
    let mut svg = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(Into::into).and_then(|()| draw(area))
    };
    drawn.map_err(|error| Error::User(error.to_string().into()))?;
    write_atomically(path, svg.as_bytes())
}

fn panel(area: &Area<'_>, title: &str, x: &str, lines: &[Line<'_>]) -> Outcome {
    let points = || lines.iter().flat_map(|line| &line.points);
    let highest = points().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max);
    let right = points().map(|point| point.0).fold(f64::MIN_POSITIVE, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..right, 0.0..highest * 1.05)?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(x).y_desc("loss").light_line_style(TRANSPARENT);
    mesh.label_style(("sans-serif", 16)).axis_desc_style(("sans-serif", 18)).draw()?;
    for line in lines {
        let style = line.colour.stroke_width(line.width);
        let drawn = chart.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
        if let Some(name) = line.name {
            drawn.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
        }
    }
    if lines.iter().any(|line| line.name.is_some()) {
        let mut legend = chart.configure_series_labels();
        legend.label_font(("sans-serif", 18)).legend_area_size(32).border_style(BLACK.mix(0.3));
        legend.background_style(WHITE).position(SeriesLabelPosition::UpperRight).draw()?;
    }
    area.present()?;
    Ok(())
}
