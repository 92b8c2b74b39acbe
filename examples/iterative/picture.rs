//! Pictures of lines and points, in panels side by side, with linear or logarithmic axes.

#![allow(dead_code, reason = "each example draws a part of these")]

use std::error::Error as StdError;
use std::ops::Range;
use std::path::Path;

use antiphon::Result;
use antiphon::error::Error;
use antiphon::io::write_atomically;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;

const COLOURS: [RGBColor; 6] = [
    RGBColor(25, 70, 150),
    RGBColor(220, 120, 20),
    RGBColor(40, 140, 60),
    RGBColor(180, 40, 60),
    RGBColor(120, 80, 160),
    RGBColor(100, 100, 100),
];

/// How a series is drawn.
#[derive(Clone, Copy, PartialEq)]
pub enum Style {
    Line,
    Points,
    /// Thin grey lines, each of so many points, without a name.
    Threads(usize),
}

pub struct Series {
    pub name: String,
    pub style: Style,
    pub points: Vec<(f64, f64)>,
}

impl Series {
    pub fn line(name: &str, points: Vec<(f64, f64)>) -> Series {
        Series { name: name.into(), style: Style::Line, points }
    }
    pub fn points(name: &str, points: Vec<(f64, f64)>) -> Series {
        Series { name: name.into(), style: Style::Points, points }
    }
    /// Numbers over 1, 2, …
    pub fn counted(name: &str, values: &[f64]) -> Series {
        Series::line(name, values.iter().enumerate().map(|(i, &y)| ((i + 1) as f64, y)).collect())
    }
}

/// The scale of an axis.
#[derive(Clone, Copy, PartialEq)]
enum Scale {
    Linear,
    Logarithmic,
}

impl Scale {
    /// Where a number is drawn: zeros and what is less have no place on a logarithmic axis.
    fn place(self, x: f64) -> f64 {
        if self == Scale::Logarithmic { x.log10() } else { x }
    }
}

/// An axis with its numbers at multiples of 1, 2 or 5, or at powers of ten and, of few of these, at some in between.
#[derive(Clone)]
struct Axis {
    scale: Scale,
    /// Of places.
    range: Range<f64>,
}

impl Axis {
    /// `i·size + step` for all integers.
    fn places(&self, size: f64, steps: &[f64]) -> Vec<f64> {
        let [first, last] = [self.range.start, self.range.end].map(|end| (end / size).floor() as i64);
        let all = (first..=last).flat_map(|i| steps.iter().map(move |step| i as f64 * size + step));
        all.filter(|x| self.range.contains(x)).collect()
    }
}

impl Ranged for Axis {
    type ValueType = f64;
    type FormatOption = NoDefaultFormatting;

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
    fn map(&self, place: &f64, (first, last): (i32, i32)) -> i32 {
        let part = (place - self.range.start) / (self.range.end - self.range.start);
        first + (part * f64::from(last - first)).round() as i32
    }
    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let length = self.range.end - self.range.start;
        let is_logarithmic = self.scale == Scale::Logarithmic;
        if is_logarithmic && length < 3.0 {
            return self.places(1.0, &[1.0, 2.0, 5.0].map(f64::log10));
        }
        let least = length / hint.max_num_points().min(8) as f64;
        let power = 10f64.powf(least.log10().floor());
        let size = [1.0, 2.0, 5.0, 10.0].map(|size| size * power).into_iter().find(|&size| size >= least);
        let size = size.unwrap_or(least);
        self.places(if is_logarithmic { size.max(1.0) } else { size }, &[0.0])
    }
}

impl From<Axis> for Range<f64> {
    fn from(axis: Axis) -> Range<f64> {
        axis.range
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, place: &f64) -> String {
        match self.scale {
            // Zero may be what is left of sums of steps.
            Scale::Linear => label(if place.abs() < 1e-12 { 0.0 } else { *place }),
            Scale::Logarithmic => label(10f64.powf(*place)),
        }
    }
}

pub struct Panel {
    title: String,
    axes: [&'static str; 2],
    scales: [Scale; 2],
    series: Vec<Series>,
    legend: SeriesLabelPosition,
}

impl Panel {
    pub fn new(title: &str, axes: [&'static str; 2], series: Vec<Series>) -> Panel {
        let (scales, legend) = ([Scale::Linear; 2], SeriesLabelPosition::UpperRight);
        Panel { title: title.into(), axes, scales, series, legend }
    }
    /// With a logarithmic vertical axis.
    pub fn logarithmic(self) -> Panel {
        Panel { scales: [self.scales[0], Scale::Logarithmic], ..self }
    }
    /// With two logarithmic axes, and the legend where curves that rise are not.
    pub fn of_powers(self) -> Panel {
        Panel { scales: [Scale::Logarithmic; 2], legend: SeriesLabelPosition::LowerRight, ..self }
    }
    pub fn legend(self, legend: SeriesLabelPosition) -> Panel {
        Panel { legend, ..self }
    }
    /// Points as they are drawn: those that have a place.
    fn placed<'s>(&'s self, series: &'s Series) -> impl Iterator<Item = (f64, f64)> + 's {
        let [across, up] = self.scales;
        let placed = series.points.iter().map(move |&(x, y)| (across.place(x), up.place(y)));
        placed.filter(|(x, y)| x.is_finite() && y.is_finite())
    }
}

/// A number beside an axis, without what rounding adds to it.
fn label(x: f64) -> String {
    let rounded: f64 = format!("{x:.3e}").parse().unwrap_or(x);
    let is_moderate = rounded == 0.0 || (1e-3..1e5).contains(&rounded.abs());
    if is_moderate { format!("{rounded}") } else { format!("{rounded:e}") }
}

/// Writes the panels.
pub fn draw(path: &Path, panels: &[Panel]) -> Result<()> {
    let mut svg = String::new();
    paint(&mut svg, panels).map_err(|error| Error::User(error.to_string().into()))?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|source| Error::Io { path: folder.into(), source })?;
    }
    write_atomically(path, svg.as_bytes())
}

fn paint(svg: &mut String, panels: &[Panel]) -> std::result::Result<(), Box<dyn StdError>> {
    let area = SVGBackend::with_string(svg, (620 * panels.len() as u32, 480)).into_drawing_area();
    area.fill(&WHITE)?;
    for (part, panel) in area.split_evenly((1, panels.len())).iter().zip(panels) {
        let points = || panel.series.iter().flat_map(|series| panel.placed(series));
        if points().next().is_none() {
            return Err(format!("{}: nothing to draw", panel.title).into());
        }
        let range = |of: fn((f64, f64)) -> f64| {
            let (low, high) = points()
                .map(of)
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
            let margin = if high > low { 0.05 * (high - low) } else { 0.5 };
            (low - margin)..(high + margin)
        };
        let [across, up] = panel.scales;
        let across = Axis { scale: across, range: range(|p| p.0) };
        let up = Axis { scale: up, range: range(|p| p.1) };
        let mut chart = ChartBuilder::on(part)
            .caption(&panel.title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(across, up)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(panel.axes[0]).y_desc(panel.axes[1]).light_line_style(TRANSPARENT).draw()?;
        let mut colours = COLOURS.iter().cycle();
        for series in &panel.series {
            let points: Vec<(f64, f64)> = panel.placed(series).collect();
            if let Style::Threads(length) = series.style {
                let style = RGBColor(190, 190, 190).stroke_width(1);
                for thread in points.chunks(length) {
                    chart.draw_series(LineSeries::new(thread.iter().copied(), style))?;
                }
                continue;
            }
            let colour = *colours.next().expect("they go round");
            let drawn = match series.style {
                Style::Points => {
                    chart.draw_series(points.into_iter().map(|at| Circle::new(at, 3, colour.filled())))?
                }
                _ => chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?,
            };
            let is_points = series.style == Style::Points;
            drawn.label(&series.name).legend(move |(x, y)| {
                let ends = if is_points { [(x + 8, y), (x + 13, y)] } else { [(x, y), (x + 20, y)] };
                PathElement::new(ends, colour.stroke_width(if is_points { 5 } else { 2 }))
            });
        }
        let mut legend = chart.configure_series_labels();
        legend.position(panel.legend.clone()).background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3));
        legend.draw()?;
    }
    area.present()?;
    Ok(())
}
