//! Pictures of how losses fell.

use std::error::Error as StdError;
use std::path::Path;

use antiphon::Result;
use antiphon::error::Error;
use antiphon::io::write_atomically;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::report::{LossUnit, Report};

/// How many steps a mean is taken over.
const WINDOW: usize = 50;

/// The most numbers at an axis.
const NUMBERS: usize = 11;
/// The part of a panel that its legend stays within, from the right and from the top.
const LEGEND: (f64, f64) = (0.4, 0.2);

const LIGHT: RGBColor = RGBColor(176, 196, 222);
const DARK: RGBColor = RGBColor(25, 70, 150);
const ORANGE: RGBColor = RGBColor(250, 190, 110);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Outcome = Result<(), Box<dyn StdError>>;

/// A line with its name.
struct Line<'a> {
    name: &'a str,
    colour: RGBColor,
    width: u32,
    points: Vec<(f64, f64)>,
}

/// Writes [`of_one`] to a file.
pub fn draw(path: &Path, title: &str, unit: &LossUnit, losses: &[f64]) -> Result<()> {
    write_atomically(path, of_one(title, unit, losses)?.as_bytes())
}

/// Writes [`of_two`] to a file.
pub fn draw_both(path: &Path, title: &str, trainings: [&Report; 2]) -> Result<()> {
    write_atomically(path, of_two(title, trainings)?.as_bytes())
}

/// The losses over the steps as an SVG: each step as a thin line, the mean of the last 50, or as many as there are, as
/// a thick one.
pub fn of_one(title: &str, unit: &LossUnit, losses: &[f64]) -> Result<String> {
    let losses = unit.measure(losses);
    let points = |losses: &[f64]| losses.iter().enumerate().map(|(x, &y)| (x as f64, y)).collect();
    let mean = if losses.len() < WINDOW { "mean so far".into() } else { format!("mean of {WINDOW} steps") };
    let lines = [
        Line { name: "each step", colour: LIGHT, width: 1, points: points(&losses) },
        Line { name: &mean, colour: DARK, width: 2, points: points(&means(&losses)) },
    ];
    svg((960, 540), |area| panel(area, title, STEPS, &unit.name, &lines))
}

/// The losses of two training runs as an SVG, means of 50 steps: over the steps, and over the time that they took.
pub fn of_two(title: &str, trainings: [&Report; 2]) -> Result<String> {
    let modes = trainings.map(|report| report.mode.name());
    let names = match modes[0] == modes[1] {
        true => ["earlier", "later"].map(|which| format!("{}, {which}", modes[0])),
        false => modes.map(String::from),
    };
    let styles = [(ORANGE, 7), (DARK, 2)];
    let lines = |x: fn(&Report, f64) -> f64| {
        [0, 1].map(|i| Line {
            name: &names[i],
            colour: styles[i].0,
            width: styles[i].1,
            points: means(&trainings[i].loss_unit.measure(&trainings[i].losses))
                .into_iter()
                .enumerate()
                .map(|(step, loss)| (x(trainings[i], step as f64), loss))
                .collect(),
        })
    };
    let seconds = |report: &Report, steps: f64| {
        (report.compile_ms + steps * report.step_ms_median.unwrap_or_default()) / 1e3
    };
    let unit = &trainings[1].loss_unit.name;
    svg((1500, 540), |area| {
        let (left, right) = area.split_horizontally(750);
        panel(&left, title, STEPS, unit, &lines(|_, step| step))?;
        panel(&right, "The same over time", "seconds, at the median time of a step", unit, &lines(seconds))
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

/// One document, however many panels are drawn in it: it is ended here, and nowhere else.
fn svg(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Outcome) -> Result<String> {
    let mut svg = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let panels = area.fill(&WHITE).map_err(Into::into).and_then(|()| draw(&area));
        panels.and_then(|()| area.present().map_err(Into::into))
    };
    drawn.map_err(|error: Box<dyn StdError>| Error::User(error.to_string().into()))?;
    Ok(svg)
}

/// The name of an axis that counts: there are no halves of a step.
const STEPS: &str = "step";

fn panel(area: &Area<'_>, title: &str, x: &str, unit: &str, lines: &[Line<'_>]) -> Outcome {
    let points = || lines.iter().flat_map(|line| &line.points);
    if points().any(|(x, y)| !x.is_finite() || !(y * 4.0).is_finite()) {
        return Err("losses, or times, that are not finite or too large to be drawn".into());
    }
    let above_zero = |end: f64| if end > 0.0 { end } else { 1.0 };
    let top = above_zero(points().map(|point| point.1).fold(0.0, f64::max));
    let right = above_zero(points().map(|point| point.0).fold(0.0, f64::max));
    // What would run behind the legend is kept below it, with the lines that lead there.
    let behind = |pair: &&[(f64, f64)]| pair[1].0 >= (1.0 - LEGEND.0) * right;
    let behind = lines.iter().flat_map(|line| line.points.windows(2).filter(behind).flatten());
    let above_legend = behind.map(|point| point.1).fold(0.0, f64::max) / (1.0 - LEGEND.1);
    let numbers = if x == STEPS { NUMBERS.min(right as usize + 1) } else { NUMBERS };
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 22))
        .margin(16)
        .margin_right(32)
        .x_label_area_size(48)
        .y_label_area_size(84)
        .build_cartesian_2d(0.0..right, 0.0..above_legend.max(top * 1.05))?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(x).y_desc(format!("loss, {unit}")).light_line_style(TRANSPARENT);
    mesh.x_labels(numbers).y_labels(NUMBERS);
    mesh.x_label_formatter(&label).y_label_formatter(&label);
    mesh.label_style(("sans-serif", 16)).axis_desc_style(("sans-serif", 18)).draw()?;
    for line in lines {
        let style = line.colour.stroke_width(line.width);
        let drawn = chart.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
        drawn
            .label(line.name.to_string())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
    }
    let mut legend = chart.configure_series_labels();
    legend.label_font(("sans-serif", 18)).legend_area_size(32).border_style(BLACK.mix(0.3));
    legend.background_style(WHITE).position(SeriesLabelPosition::UpperRight).draw()?;
    Ok(())
}

/// A number at an axis: without zeros that say nothing, and without what rounding adds to a multiple of a tenth.
fn label(x: &f64) -> String {
    let rounded: f64 = format!("{x:.5e}").parse().expect("a number");
    match rounded.abs() {
        size if size > 0.0 && !(1e-3..1e7).contains(&size) => format!("{rounded:e}"),
        _ => rounded.to_string(),
    }
}
