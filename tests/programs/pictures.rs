//! Every picture that a program writes is one document, has its axes and labels, and shows what it should where it
//! should.

#[path = "../../examples/common/mod.rs"]
mod common;
#[path = "../support/picture.rs"]
mod picture;

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{example, succeed, write_text};
use common::curve;
use common::mode::{Mode, Precision};
use common::report::{LossUnit, Report};
use picture::Picture;

const WHITE: [u8; 3] = [255; 3];
const LIGHT: [u8; 3] = [176, 196, 222];
const DARK: [u8; 3] = [25, 70, 150];
const ORANGE: [u8; 3] = [250, 190, 110];

/// Losses that fall from 2.5 to 0.5, as sums over four characters.
fn falling(steps: usize) -> Vec<f64> {
    (0..steps).map(|step| 4.0 * (0.5 + 2.0 * (-6.0 * step as f64 / steps as f64).exp())).collect()
}

fn of_four_characters() -> LossUnit {
    LossUnit { terms: 4, ..LossUnit::nats("a character") }
}

fn report(mode: Mode, losses: Vec<f64>, ms: f64) -> Report {
    Report {
        model: "char_rnn".into(),
        cell: None,
        mode,
        precision: Precision::F32,
        steps: losses.len(),
        compile_ms: 0.0,
        step_ms_median: Some(ms),
        step_ms_mean: None,
        accuracy: Default::default(),
        loss_unit: of_four_characters(),
        losses,
    }
}

/// The axes, which are black lines from the zeros on; between two columns of pixels they are shared by both, as grey.
#[track_caller]
fn has_axes(picture: &Picture, at: &impl Fn(f64, f64) -> (f64, f64)) {
    for (x, y) in [at(0.0, 1.5), at(500.0, 0.0), at(0.0, 0.0)] {
        assert!(
            [0, 127, 110].iter().any(|&grey| picture.is_near([grey; 3], (x, y), 2)),
            "no axis at {x}, {y}"
        );
    }
}

#[test]
fn the_loss_curve_is_where_the_losses_are() {
    let svg = curve::of_one("lstm <128> & \"more\"", &of_four_characters(), &falling(2000)).unwrap();
    let picture = Picture::of(&svg);
    for text in [
        "lstm <128> & \"more\"",
        "step",
        "loss, nats a character",
        "1000",
        "2.5",
        "each step",
        "mean of 50 steps",
    ] {
        picture.says(text, 1);
    }
    let at = picture.scale(0.0, 960.0);
    has_axes(&picture, &at);
    let means = |step: usize| falling(2000)[step - 49..=step].iter().sum::<f64>() / 50.0 / 4.0;
    for step in [100, 300, 600, 1000, 1500, 1900] {
        let (x, y) = at(step as f64, means(step));
        assert!(picture.is_near(DARK, (x, y), 2), "the mean at step {step}");
        let elsewhere = [y - 40.0, y + 40.0].map(|y| picture.is_near(DARK, (x, y), 8));
        assert_eq!(elsewhere, [false; 2], "above and below the mean at step {step}");
    }
    let (x, y) = at(200.0, falling(2000)[200] / 4.0);
    assert!(picture.is_near(LIGHT, (x, y), 2), "the loss of step 200");
    let (x, y) = at(1250.0, 2.25);
    assert_eq!(picture.pixel(x + 3.0, y + 3.0), WHITE, "above the curve there is nothing");
}

#[test]
fn two_curves_are_in_one_document_with_two_panels() {
    let losses = falling(1000);
    let (eager, compiled) =
        (report(Mode::Eager, losses.clone(), 4.0), report(Mode::Compiled, losses.clone(), 1.0));
    let picture = Picture::of(&curve::of_two("char_rnn, trained twice", [&eager, &compiled]).unwrap());
    for (text, times) in [
        ("char_rnn, trained twice", 1),
        ("The same over time", 1),
        ("step", 1),
        ("seconds, at the median time of a step", 1),
        ("loss, nats a character", 2),
        ("eager", 2),
        ("compiled", 2),
        ("500", 1),
        ("2.5", 3),
    ] {
        picture.says(text, times);
    }
    let mean = |step: usize| losses[step - 49..=step].iter().sum::<f64>() / 50.0 / 4.0;
    // Over steps both are in one place, the thin line on the thick one; over time one is four times as fast.
    let steps = picture.scale(0.0, 750.0);
    has_axes(&picture, &steps);
    let seconds = picture.scale(750.0, 1500.0);
    for step in [100, 400, 700, 950] {
        let place = steps(step as f64, mean(step));
        assert!(picture.is_near(DARK, place, 1) && picture.is_near(ORANGE, place, 6), "step {step}");
        let (eager, compiled) =
            (seconds(0.004 * step as f64, mean(step)), seconds(0.001 * step as f64, mean(step)));
        assert!(
            picture.is_near(ORANGE, eager, 2) && !picture.is_near(DARK, eager, 2),
            "eager at step {step}"
        );
        assert!(picture.is_near(DARK, compiled, 2), "compiled at step {step}");
    }
}

/// Names tell runs of one mode apart; a run of one step, of no steps of its own, or of zeros has a picture too.
#[test]
fn odd_runs_have_pictures() {
    let twice = [report(Mode::Eager, falling(60), 1.0), report(Mode::Eager, falling(80), 2.0)];
    let picture = Picture::of(&curve::of_two("twice", [&twice[0], &twice[1]]).unwrap());
    picture.says("eager, earlier", 2);
    picture.says("eager, later", 2);
    for losses in [vec![2.5], vec![0.0; 10], vec![1e-9; 10], falling(12_345), vec![3e7, 1e3]] {
        Picture::of(&curve::of_one("odd", &of_four_characters(), &losses).unwrap());
        let mut resumed = report(Mode::Compiled, losses.clone(), 1.0);
        resumed.step_ms_median = None;
        Picture::of(&curve::of_two("odd", [&resumed, &report(Mode::Eager, losses, 1e-3)]).unwrap());
    }
}

#[test]
fn short_runs_are_described_as_what_they_are() {
    for steps in 2..=12 {
        let losses: Vec<f64> = falling(steps);
        for svg in [
            curve::of_one("short", &of_four_characters(), &losses).unwrap(),
            curve::of_two(
                "short",
                [&report(Mode::Eager, losses.clone(), 0.0), &report(Mode::Compiled, losses, 0.0)],
            )
            .unwrap(),
        ] {
            let picture = Picture::of(&svg);
            picture.says("mean of 50 steps", 0);
            let axis = picture.words.iter().find(|word| word.text == "step").expect("the axis of steps");
            // The numbers in the row above its name, which is in the middle of it.
            let numbers = picture.words.iter().filter(|word| (10.0..50.0).contains(&(axis.y - word.y)));
            let steps: Vec<&str> =
                numbers.filter(|word| word.x < 2.0 * axis.x).map(|word| word.text.as_str()).collect();
            assert!(steps.len() >= 2 && steps.iter().all(|step| step.parse::<u32>().is_ok()), "{steps:?}");
        }
    }
    let picture = Picture::of(&curve::of_one("short", &of_four_characters(), &falling(49)).unwrap());
    picture.says("mean so far", 1);
    Picture::of(&curve::of_one("long", &of_four_characters(), &falling(50)).unwrap())
        .says("mean of 50 steps", 1);
}

/// Losses that end where they were largest, or fall on the way there, are not hidden behind the legend.
#[test]
fn no_curve_is_behind_the_legend() {
    let rising: Vec<f64> = (0..100).map(|step| 4.0 + f64::from(step) / 25.0).collect();
    for losses in [vec![8.0; 100], vec![8.0; 5], rising] {
        let picture = Picture::of(&curve::of_one("flat", &of_four_characters(), &losses).unwrap());
        let at = picture.scale(0.0, 960.0);
        for (step, loss) in losses.iter().enumerate() {
            let place = at(step as f64, loss / 4.0);
            assert!(picture.is_near(LIGHT, place, 3) || picture.is_near(DARK, place, 3), "step {step}");
        }
    }
}

fn read(path: &Path) -> Picture {
    Picture::of(&fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

#[test]
fn programs_write_the_unit_that_they_say() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| directory.path().join(name);
    let run = |name: &str, flags: &[&str]| {
        let mut command = example(name);
        command.arg("--out").arg(at(name)).args(flags);
        succeed(&mut command)
    };
    let text = write_text(directory.path()).display().to_string();
    let (first, report) = (at("first.json").display().to_string(), "--report");
    let flags = ["--text", &text, "--hidden", "8", "--seq", "10", "--steps", "60"];
    let said = run("char_rnn", &[&flags[..], &[report, &first]].concat());
    assert!(said.contains(" nats a character (mean of the last 60)"), "{said}");
    // What is said at the start, in the progress, is what is drawn there: the logarithm of the number of characters.
    let shown = said.split("step 3/60 · loss ").nth(1).expect("progress");
    let (loss, unit) = shown.split_once(' ').expect("a number and its unit");
    assert!(unit.starts_with("nats a character"), "{said}");
    let picture = read(&at("char_rnn/loss.svg"));
    picture.says("loss, nats a character", 1);
    let place = picture.scale(0.0, 960.0)(2.0, loss.parse().expect("a number"));
    assert!(picture.is_near(LIGHT, place, 3) || picture.is_near(DARK, place, 3), "{loss} at step 2");
    run("char_rnn", &[&flags[..], &["--seed", "1", "--compare", &first]].concat());
    read(&at("char_rnn/comparison.svg")).says("loss, nats a character", 2);

    let said = run("mlp", &["--draw", "240", "--batch", "20", "--steps", "5"]);
    assert!(said.contains(" nats an image "), "{said}");
    read(&at("mlp/loss.svg")).says("loss, nats an image", 1);
}

/// The bars of `make peers`, of which each group has its longest across the width.
#[test]
fn the_bar_chart_of_the_peers_is_a_picture() {
    let program = r#"
import sys
sys.path.insert(0, "benches/peers")
import chart
results = {"numpy": {"step_ms": 4.0}, "antiphon compiled": {"step_ms": 1.0}}
titles = {"numpy": "NumPy", "antiphon compiled": "Antiphon <compiled> & more"}
groups = [{"workload": "LSTM, 8 < 9 & more", "results": results}] * 2
print(chart.chart(groups, ["numpy", "antiphon compiled"], titles), end="")
"#;
    let mut command = Command::new(std::env::var_os("ANTIPHON_PYTHON").unwrap_or("python3".into()));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["-B", "-c", program]);
    let picture = Picture::of(&succeed(&mut command));
    picture.says("LSTM, 8 < 9 & more: milliseconds a step", 2);
    picture.says("Antiphon <compiled> & more", 2);
    let row = |title: &str| picture.words.iter().find(|word| word.text == title).expect("a row").y - 5.0;
    let (numpy, antiphon) = (row("NumPy"), row("Antiphon <compiled> & more"));
    let longest = 960.0 - 240.0 - 90.0;
    assert_eq!(picture.pixel(240.0 + longest - 3.0, numpy), [0x8a, 0x9b, 0xa8]);
    assert_eq!(picture.pixel(240.0 + longest / 4.0 - 3.0, antiphon), [0x19, 0x46, 0x8f]);
    assert_eq!(picture.pixel(240.0 + longest / 2.0, antiphon), WHITE);
}

/// `--print graph`, drawn by Graphviz: every statement has its node, in which stands what stands in the program.
#[cfg(feature = "staging")]
#[test]
fn graphs_of_programs_are_graphs() {
    use antiphon::recording::{Recorded, graphviz, record};
    use antiphon::state::Index;
    use antiphon::{Control, Int, OrRaise, grad};
    use resvg::tiny_skia::{Pixmap, Transform};
    use resvg::usvg::roxmltree::{Document, ParsingOptions};
    use resvg::usvg::{Options, Tree};
    use std::io::Write;
    use std::process::Stdio;

    /// Names that mean something to Graphviz, a branch, and a function that calls itself.
    fn model<T: Control>(x: &T, n: &T::Int) -> T {
        let odd = (x.clone() * x).named("a\"b\\c<d>{e|f}&lt;\\n");
        let y = T::cond(&odd.less(&T::constant(1.0)), || odd.clone(), || odd.sin());
        T::fix((y, Index::<T>(n.clone())), |again, (y, n): (T, Index<T>)| {
            let fewer = Index(n.0.clone() - T::Int::constant(1));
            T::cond(&T::Int::constant(0).less(&n.0), || again((y.square(), fewer.clone())), || y.clone())
        })
    }
    let slope = |(x, n): (Recorded, antiphon::recording::RecordedInt)| grad(|x| model(&x, &n), &x).or_raise();
    let program = record("slope", slope, &(0.5, 0i64)).unwrap();
    let graph = graphviz(&program);
    let mut dot = Command::new("dot");
    dot.arg("-Tsvg").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut dot = dot.spawn().expect("Graphviz, which `make test` installs");
    dot.stdin.take().unwrap().write_all(graph.as_bytes()).unwrap();
    let output = dot.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{graph}");
    let svg = String::from_utf8(output.stdout).unwrap();
    let options = ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = Document::parse_with_options(&svg, options).unwrap();
    let of_class = |class: &str| {
        let groups = document.descendants().filter(|node| node.attribute("class") == Some(class));
        groups.count()
    };
    // Every node is declared once, and every edge is between two that are.
    assert_eq!(of_class("node"), graph.lines().filter(|line| line.contains(" [label=")).count());
    assert_eq!(of_class("edge"), graph.lines().filter(|line| line.contains(" -> ")).count());
    let words: Vec<&str> = document
        .descendants()
        .filter(|node| node.has_tag_name("text"))
        .filter_map(|node| node.text())
        .collect();
    let odd = "a\"b\\c<d>{e|f}&lt;\\n";
    for line in [&*format!("{odd}: f64 = x0 * x0"), "then", "else"] {
        assert!(words.contains(&line), "no {line} in {words:?}");
    }
    let tree = Tree::from_str(&svg, &Options::default()).unwrap();
    let size = tree.size().to_int_size();
    let mut pixels = Pixmap::new(size.width(), size.height()).unwrap();
    resvg::render(&tree, Transform::identity(), &mut pixels.as_mut());
    let drawn = pixels.pixels().iter().filter(|pixel| pixel.alpha() == 255 && pixel.red() < 64).count();
    assert!(drawn > 20 * graph.lines().count(), "{drawn} black pixels of {graph}");
}

#[test]
fn losses_that_cannot_be_drawn_are_an_error() {
    for loss in [f64::MAX, f64::INFINITY, f64::NAN] {
        assert!(curve::of_one("too large", &of_four_characters(), &[loss; 60]).is_err());
    }
}
