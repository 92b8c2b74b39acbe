//! Pictures as their readers see them.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::roxmltree::{Document, Node};
use resvg::usvg::{Options, Tree};

/// A picture as its readers see it: words with their places, and pixels.
pub struct Picture {
    pub words: Vec<Word>,
    pub pixels: Pixmap,
}

/// A piece of text and a box around it, from the size of its font: no glyph of a usual font is wider than this.
#[derive(Debug)]
pub struct Word {
    pub text: String,
    pub x: f64,
    pub y: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Word {
    fn of(node: &Node<'_, '_>) -> Word {
        let number = |name: &str| node.attribute(name).and_then(|value| value.parse::<f64>().ok());
        let [x, y] = ["x", "y"].map(|name| number(name).expect("a place"));
        let size =
            number("font-size").or(node.parent().and_then(|svg| svg.attribute("font-size")?.parse().ok()));
        let size = size.expect("a size");
        let text = node.text().expect("a word").trim().to_string();
        let width = 0.6 * size * text.chars().count() as f64;
        let left = match node.attribute("text-anchor") {
            Some("middle") => -width / 2.0,
            Some("end") => -width,
            _ => 0.0,
        };
        // Below `y`, above it, or in its middle.
        let top = match node.attribute("dy") {
            Some("0.76em") => 0.0,
            Some("0.5ex") => -size / 2.0,
            _ => -size,
        };
        let (left, right, top, bottom) = match node.attribute("transform") {
            Some(turned) => {
                assert!(turned.starts_with("rotate(270,"), "{turned}");
                (top, top + size, -left - width, -left)
            }
            None => (left, left + width, top, top + size),
        };
        Word { text, x, y, left: x + left, right: x + right, top: y + top, bottom: y + bottom }
    }

    fn overlaps(&self, other: &Word) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }
}

impl Picture {
    /// Parses and renders the text of a picture; no word leaves it, overlaps another one, or ends in `.0`.
    #[track_caller]
    pub fn of(svg: &str) -> Picture {
        let document = Document::parse(svg).unwrap_or_else(|error| panic!("{error}:\n{svg}"));
        let tree = Tree::from_str(svg, &Options::default()).expect("a picture");
        let size = tree.size().to_int_size();
        let mut pixels = Pixmap::new(size.width(), size.height()).expect("a size");
        resvg::render(&tree, Transform::identity(), &mut pixels.as_mut());
        let words: Vec<Word> = document
            .descendants()
            .filter(|node| node.has_tag_name("text"))
            .map(|node| Word::of(&node))
            .collect();
        for (i, word) in words.iter().enumerate() {
            let (width, height) = (f64::from(size.width()), f64::from(size.height()));
            let inside = word.left >= 0.0 && word.right <= width && word.top >= 0.0 && word.bottom <= height;
            assert!(inside, "{word:?} leaves {width} × {height}");
            assert!(!word.text.ends_with(".0"), "{word:?}");
            if let Some(other) = words[..i].iter().find(|other| word.overlaps(other)) {
                panic!("{word:?} and {other:?} overlap");
            }
        }
        Picture { words, pixels }
    }

    pub fn pixel(&self, x: f64, y: f64) -> [u8; 3] {
        let colour = self.pixels.pixel(x as u32, y as u32).expect("a place in the picture").demultiply();
        [colour.red(), colour.green(), colour.blue()]
    }

    /// Whether something of a colour is within so many pixels.
    pub fn is_near(&self, colour: [u8; 3], (x, y): (f64, f64), distance: i32) -> bool {
        let offsets = || (-distance..=distance).map(f64::from);
        offsets().any(|dx| {
            offsets().any(|dy| self.pixel(x + dx, y + dy).iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 24))
        })
    }

    #[track_caller]
    pub fn says(&self, text: &str, times: usize) {
        let count = self.words.iter().filter(|word| word.text == text).count();
        assert_eq!(count, times, "{text:?} in {:?}", self.words);
    }

    /// Where the panel whose area begins at `left` shows a value: read from the numbers at its axes.
    pub fn scale(&self, left: f64, right: f64) -> impl Fn(f64, f64) -> (f64, f64) {
        let numbers = || {
            let here = self.words.iter().filter(move |word| (left..right).contains(&word.x));
            here.filter_map(|word| Some((word.text.parse::<f64>().ok()?, word)))
        };
        let (_, zero) = numbers().find(|&(value, _)| value == 0.0).expect("a zero");
        // The numbers of the vertical axis stand in the column of the first zero, the others in a row.
        let along_y = numbers().filter(|(_, word)| word.x == zero.x).map(|(value, word)| (value, word.y));
        let along_x = numbers().filter(|(_, word)| word.x != zero.x).map(|(value, word)| (value, word.x));
        let line = |points: Vec<(f64, f64)>| {
            assert!(points.len() > 3, "an axis with {} numbers", points.len());
            let ((a, pa), (b, pb)) = (points[0], points[points.len() - 1]);
            let place = move |value: f64| pa + (value - a) * (pb - pa) / (b - a);
            for (value, at) in points {
                assert!((place(value) - at).abs() < 2.0, "{value} is not where it should be");
            }
            place
        };
        let (x, y) = (line(along_x.collect()), line(along_y.collect()));
        move |a, b| (x(a), y(b))
    }
}
