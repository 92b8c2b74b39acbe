//! Treebanks, word vectors and images: what is read, and what broken files are told.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use antiphon::control::fold;
use antiphon::data::idx::Idx;
use antiphon::data::{Content, Images, SentimentTree, Treebank, read_glove};
use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn file(directory: &TempDir, name: &str, contents: &[u8]) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, contents).expect("the temporary directory can be written");
    path
}

/// The message of an error, which has to name the file and each of `parts`.
#[track_caller]
fn refused<T>(result: antiphon::Result<T>, path: &Path, parts: &[&str]) {
    let message = result.err().expect("an error").to_string();
    for part in parts.iter().copied().chain([path.to_str().unwrap()]) {
        assert!(message.contains(part), "{message:?} does not mention {part:?}");
    }
}

#[test]
fn a_treebank_is_read_and_written() {
    let text = "(3 (2 A) (4 (3 good) (2 film)))\n\n(1 (2 A) (0 bad))\n( 2   Fine )\n";
    let directory = directory();
    let bank = Treebank::open(file(&directory, "bank.txt", text.as_bytes())).unwrap();
    assert_eq!(bank, Treebank::parse("memory", text).unwrap());
    assert_eq!(bank.words(), ["A", "good", "film", "bad", "Fine"], "numbered as they appear");
    assert_eq!(bank.trees().len(), 3);
    assert_eq!(bank.trees()[0].words(), [0, 1, 2]);
    assert_eq!(bank.trees()[0].labels(), [2, 3, 2, 4, 3]);
    assert_eq!(bank.trees()[2], SentimentTree { label: 2, content: Content::Word(4) });
    let depth = fold(&bank.trees()[0], &|_, depths: Vec<usize>| 1 + depths.into_iter().max().unwrap_or(0));
    assert_eq!(depth, 3);
    assert_eq!(bank.to_text(), "(3 (2 A) (4 (3 good) (2 film)))\n(1 (2 A) (0 bad))\n(2 Fine)\n");
}

#[test]
fn broken_trees_are_refused_with_line_and_column() {
    let directory = directory();
    let check = |line: &str, parts: &[&str]| {
        let path = file(&directory, "bank.txt", format!("(2 fine)\n\n{line}\n(2 fine)\n").as_bytes());
        refused(Treebank::open(&path), &path, &[&["line 3"], parts].concat());
    };
    check("(3 (2 a) (4 b)", &["a bracket open", "column 1"]);
    check("(3 (2 a) (4 b", &["2 brackets open", "column 10"]);
    check("(3 (2 a) (4 b)))", &["column 16", "without its '('"]);
    check("(3 (2 a) (4 b)) c", &["column 17", "\"c\""]);
    check("(3 (2 a)) (4 b)", &["column 1", "1 subtrees"]);
    check("(3 (2 a) (4 b) (4 c))", &["column 1", "3 subtrees"]);
    check("(3)", &["column 1", "0 subtrees"]);
    check("(3 a b)", &["column 6", "\"b\""]);
    check("(3 a (2 b))", &["column 1", "a word and 1 subtrees"]);
    check("(3 (2 b) a)", &["column 10", "\"a\""]);
    check("(5 a)", &["column 1", "\"5\"", "0 to 4"]);
    check("(-1 a)", &["column 1", "\"-1\""]);
    check("(3 (x a) (2 b))", &["column 4", "\"x\""]);
    check("((2 a) (2 b))", &["column 1", "nothing"]);
    check("word", &["column 1", "outside of brackets"]);
    check(&"(2 ".repeat(20_000), &["deeper than 1000"]);
    // Of something long, such as another kind of file, only the beginning is shown.
    let long = "word".repeat(1000);
    for line in [long.clone(), format!("({long} a)"), format!("(2 a {long})"), format!("(2 a) {long}")] {
        let shown = Treebank::parse("memory", &line).err().unwrap().to_string();
        assert!(shown.contains("\"wordword") && shown.contains("\"…") && shown.len() < 120, "{shown}");
    }
    let path = file(&directory, "bank.txt", b"(2 fine)\n(2 \xff)\n");
    refused(Treebank::open(&path), &path, &["line 2", "byte 4", "UTF-8"]);
    for empty in ["", "\n\n"] {
        let path = file(&directory, "bank.txt", empty.as_bytes());
        refused(Treebank::open(&path), &path, &["no tree"]);
    }
    let path = directory.path().join("none.txt");
    refused(Treebank::open(&path), &path, &["No such file"]);
}

/// The polarity of a generated phrase by the rules of the documentation, from its words alone.
fn evaluate(bank: &Treebank, tree: &SentimentTree) -> i32 {
    let word = |tree: &SentimentTree| match tree.content {
        Content::Word(word) => bank.words()[word].as_str(),
        Content::Phrase(_) => "",
    };
    let polarity = match &tree.content {
        Content::Word(_) => match word(tree) {
            "terrible" | "awful" | "unbearable" | "dreadful" => -2,
            "bad" | "dull" | "weak" | "clumsy" | "tedious" => -1,
            "good" | "funny" | "warm" | "clever" | "charming" => 1,
            "superb" | "brilliant" | "wonderful" | "masterly" => 2,
            _ => 0,
        },
        Content::Phrase(children) => {
            let [left, right] = &**children;
            let (a, b) = (evaluate(bank, left), evaluate(bank, right));
            let conjunction = match &right.content {
                Content::Phrase(parts) => word(&parts[0]),
                Content::Word(_) => "",
            };
            match (word(left), conjunction) {
                ("not" | "never" | "hardly", _) => -b.signum(),
                ("very" | "truly" | "extremely", _) => 2 * b.signum(),
                ("slightly" | "somewhat", _) => b.signum(),
                (_, "but") if b == 0 => a.signum(),
                (_, "but") => b,
                _ => (a + b).clamp(-2, 2),
            }
        }
    };
    assert_eq!(i32::from(tree.label), polarity + 2, "{tree:?}");
    polarity
}

#[test]
fn generated_sentences_are_labelled_by_the_rules() {
    let bank = Treebank::generate(500, 3);
    assert_eq!(bank, Treebank::generate(500, 3));
    assert_ne!(bank, Treebank::generate(500, 4));
    assert_eq!(bank.trees().len(), 500);
    let mut roots = [0; 5];
    for tree in bank.trees() {
        roots[(evaluate(&bank, tree) + 2) as usize] += 1;
    }
    assert!(roots.iter().all(|&n| n >= 40), "every label occurs: {roots:?}");
    assert_eq!(Treebank::parse("again", &bank.to_text()).unwrap(), bank);
}

#[test]
fn word_vectors_are_read_by_word() {
    let directory = directory();
    let text = "the 0.5 -1 2e-3\n. . . 1 2 3\nthe 9 9 9\n3 4 5 6\r\n";
    let words = ["a", "the", ". . .", "3"].map(String::from);
    let rows = read_glove(file(&directory, "glove.txt", text.as_bytes()), 3, &words).unwrap();
    let row = |x: [f64; 3]| Some(x.to_vec());
    assert_eq!(rows, [None, row([0.5, -1.0, 2e-3]), row([1.0, 2.0, 3.0]), row([4.0, 5.0, 6.0])]);
}

#[test]
fn broken_word_vectors_are_refused_with_their_line() {
    let directory = directory();
    for (line, parts) in [
        ("cat 1 2", &["2 numbers", "should be 3"][..]),
        ("cat 1 2 3 4", &["4 numbers", "should be 3"]),
        ("cat", &["0 numbers", "should be 3"]),
        ("", &["0 numbers"]),
        ("cat 1 x 3", &["1 numbers"]),
        ("cat 1 inf 3", &["inf", "finite"]),
        (" 1 2 3", &["no word"]),
    ] {
        let path = file(&directory, "glove.txt", format!("dog 1 2 3\n{line}\ndog 1 2 3\n").as_bytes());
        refused(read_glove(&path, 3, &[]), &path, &[&["line 2"], parts].concat());
    }
}

fn idx(magic: [u8; 4], shape: &[u32], elements: usize) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    shape.iter().for_each(|n| bytes.extend(n.to_be_bytes()));
    bytes.extend((0..elements).map(|i| (i % 10) as u8));
    bytes
}

#[test]
fn images_are_read_compressed_or_not() {
    let directory = directory();
    let pixels = idx([0, 0, 8, 3], &[12, 2, 3], 72);
    let labels = file(&directory, "labels", &idx([0, 0, 8, 1], &[12], 12));
    let plain = Images::open(file(&directory, "images", &pixels), &labels).unwrap();
    assert_eq!((plain.len(), plain.size()), (12, [2, 3]));
    assert_eq!((plain.pixels(1), plain.labels()[11]), (&[6, 7, 8, 9, 0, 1][..], 1));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&pixels).unwrap();
    let compressed = file(&directory, "images.gz", &gzip.finish().unwrap());
    assert_eq!(Images::open(&compressed, &labels).unwrap(), plain);
    let whole = fs::read(&compressed).unwrap();
    fs::write(&compressed, &whole[..whole.len() / 2]).unwrap();
    refused(Images::open(&compressed, &labels), &compressed, &["gzip", "byte"]);
    let (first, rest) = plain.clone().split_at(5);
    assert_eq!((first.len(), rest.len(), rest.pixels(0)), (5, 7, plain.pixels(5)));
}

#[test]
fn broken_idx_files_are_refused_with_the_byte() {
    let directory = directory();
    for (bytes, parts) in [
        (idx([0, 0, 8, 1], &[12], 12), &["byte 0", "[00, 00, 08, 01]", "3 axes"][..]),
        (idx([0, 0, 13, 3], &[1, 1, 1], 4), &["byte 0", "0d"]),
        (b"PNG and more than four bytes".to_vec(), &["byte 0"]),
        (idx([0, 0, 8, 3], &[2, 3, 4], 23), &["byte 39", "23", "[2, 3, 4]"]),
        (idx([0, 0, 8, 3], &[2, 3, 4], 26), &["byte 40", "more bytes than an array of [2, 3, 4]"]),
        (idx([0, 0, 8, 3], &[2, 3], 0), &["byte 12", "header"]),
        (idx([0, 0, 8, 3], &[u32::MAX; 3], 5), &["byte 4", "[4294967295, 4294967295, 4294967295]"]),
        (vec![0, 0], &["byte 2", "header"]),
        (vec![], &["byte 0", "header"]),
    ] {
        let path = file(&directory, "images", &bytes);
        refused(Idx::open(&path, 3), &path, parts);
    }
    let images = file(&directory, "images", &idx([0, 0, 8, 3], &[12, 2, 3], 72));
    let labels = file(&directory, "labels", &idx([0, 0, 8, 1], &[11], 11));
    refused(Images::open(&images, &labels), &labels, &["11 labels", "12 images"]);
    let mut bytes = idx([0, 0, 8, 1], &[12], 12);
    bytes[11] = 10;
    let labels = file(&directory, "labels", &bytes);
    refused(Images::open(&images, &labels), &labels, &["byte 11", "label 10"]);
    let images = file(&directory, "images", &idx([0, 0, 8, 3], &[12, 0, 3], 0));
    refused(Images::open(&images, &labels), &images, &["no pixels"]);
}

#[test]
fn drawn_digits_are_pictures_of_ink() {
    let drawn = Images::draw(200, 1);
    assert_eq!(drawn, Images::draw(200, 1));
    assert_eq!((drawn.len(), drawn.size()), (200, [28, 28]));
    for label in 0..10 {
        assert!(drawn.labels().contains(&label), "{label} is drawn");
    }
    let dark: Vec<_> = (0..200).map(|i| drawn.pixels(i).iter().filter(|&&x| x > 128).count()).collect();
    assert!(dark.iter().all(|&n| (20..300).contains(&n)), "{dark:?}");
    assert_ne!(drawn.pixels(0), Images::draw(1, 2).pixels(0));
    // Any picture can be drawn without those before it.
    assert_eq!(drawn.clone().split_at(10).0, Images::draw(10, 1));
    let directory = directory();
    let [images, labels] = ["images", "labels"].map(|name| directory.path().join(name));
    drawn.save(&images, &labels).unwrap();
    assert_eq!(Images::open(&images, &labels).unwrap(), drawn);
}
