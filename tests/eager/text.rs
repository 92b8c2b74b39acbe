//! The order of a text's characters in training, and texts that are of no use.

use antiphon::Error;
use antiphon::data::Text;

/// A text whose character at position `i` is `i` itself.
fn counting(len: usize) -> Text {
    Text::new("counting", &(0..len as u8).collect::<Vec<_>>()).unwrap()
}

#[test]
fn the_vocabulary_is_the_distinct_bytes_in_order() {
    let text = Text::new("memory", "hello, wörld\0".as_bytes()).unwrap();
    assert_eq!(text.vocabulary(), b"\0 ,dehlorw\xb6\xc3");
    assert_eq!(text.len(), 14);
    assert_eq!(text.encode(b"heel").unwrap(), [5, 4, 4, 6]);
    assert_eq!(text.decode(&[5, 4, 4, 6]).unwrap(), b"heel");
    let all: Vec<u8> = (0..=255).rev().collect();
    let text = Text::new("memory", &all).unwrap();
    assert_eq!(text.encode(&all).unwrap(), (0..256).rev().collect::<Vec<i64>>());
}

#[test]
fn batches_follow_the_documented_order() {
    let text = counting(32);
    // B = 2, T = 5: steps of 10 characters; 3·10 + 1 ≤ 32.
    let batches = text.batches(2, 5).unwrap();
    assert_eq!(batches.steps(), 3);
    for (step, p) in [(0, 0), (1, 10), (2, 20), (3, 0), (7, 10)] {
        let batch = batches.at(step);
        assert_eq!(batch.shape, [5, 2]);
        for t in 0..5 {
            for j in 0..2 {
                let character = (p + j * 5 + t) as i64;
                assert_eq!(batch.inputs[t * 2 + j], character, "step {step}");
                assert_eq!(batch.targets[t * 2 + j], character + 1, "step {step}");
            }
        }
    }
}

#[test]
fn the_last_target_decides_how_many_steps_there_are() {
    assert_eq!(counting(20).batches(2, 5).unwrap().steps(), 1);
    assert_eq!(counting(21).batches(2, 5).unwrap().steps(), 2);
    // The very last character is the last target.
    assert_eq!(*counting(21).batches(2, 5).unwrap().at(1).targets.last().unwrap(), 20);
    assert_eq!(counting(2).batches(1, 1).unwrap().steps(), 1);
}

#[test]
fn a_text_too_short_for_one_step_says_what_it_needs() {
    for (len, batch, time) in [(10, 2, 5), (1, 1, 1), (10, usize::MAX, 2), (10, usize::MAX, usize::MAX)] {
        let error = counting(len).batches(batch, time).unwrap_err();
        assert!(matches!(error, Error::Format { .. }), "{error:?}");
        let message = error.to_string();
        let needed = (batch as u128 * time as u128 + 1).to_string();
        for part in ["counting", &format!("{len} bytes"), &needed] {
            assert!(message.contains(part), "{message:?} lacks {part:?}");
        }
    }
    assert!(matches!(counting(10).batches(0, 5), Err(Error::Config { .. })));
    assert!(matches!(counting(10).batches(5, 0), Err(Error::Config { .. })));
}

#[test]
fn files_that_are_of_no_use_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.txt");
    let error = Text::open(&missing).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if *path == missing), "{error:?}");
    let empty = directory.path().join("empty.txt");
    std::fs::write(&empty, "").unwrap();
    let message = Text::open(&empty).unwrap_err().to_string();
    assert!(message.contains("empty.txt") && message.contains("the text is empty"), "{message}");
    assert!(matches!(Text::open(directory.path()), Err(Error::Io { .. })));
}

#[test]
fn a_single_character_repeated_is_a_text() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.txt");
    std::fs::write(&path, "aaaaaaa").unwrap();
    let text = Text::open(&path).unwrap();
    assert_eq!(text.vocabulary(), b"a");
    let batches = text.batches(2, 3).unwrap();
    assert_eq!((batches.steps(), batches.at(0).inputs, batches.at(5).targets), (1, vec![0; 6], vec![0; 6]));
}

#[test]
fn what_is_not_in_the_vocabulary_is_refused() {
    let text = Text::new("memory", b"abc").unwrap();
    let message = text.encode(b"ab\n").unwrap_err().to_string();
    assert!(message.ends_with(r"'\n'"), "{message}");
    for symbol in [-1, 3, i64::MAX] {
        assert!(text.decode(&[0, symbol]).unwrap_err().to_string().contains(&symbol.to_string()));
    }
}
