//! Batches of data.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use antiphon::data::Loader;
use antiphon::{Error, NdArray, Tensor};

fn rows(loader: &Loader<Vec<usize>>, epoch: u64) -> Vec<Vec<usize>> {
    loader.epoch(epoch).map(Result::unwrap).collect()
}

fn of(count: usize, batch: usize) -> Loader<Vec<usize>> {
    Loader::new(count, batch, |rows| Ok(rows.to_vec())).unwrap()
}

#[test]
fn batches_have_every_row_once() {
    assert_eq!(rows(&of(5, 2), 0), [vec![0, 1], vec![2, 3], vec![4]]);
    assert_eq!(rows(&of(5, 2).drop_last(), 0), [vec![0, 1], vec![2, 3]]);
    assert_eq!(rows(&of(4, 2).drop_last().prefetch(1), 0), [vec![0, 1], vec![2, 3]]);
    assert_eq!(rows(&of(0, 3), 0), Vec::<Vec<usize>>::new());
    assert_eq!(rows(&of(1, 3).drop_last().prefetch(4), 0), Vec::<Vec<usize>>::new());
    assert_eq!([of(5, 2).batches(), of(5, 2).drop_last().batches(), of(0, 1).batches()], [3, 2, 0]);
    assert!(matches!(Loader::new(3, 0, |_| Ok(())), Err(Error::Config { .. })));
    for prefetch in [0, 1, 3, 100] {
        let shuffled = of(103, 10).shuffled(5).prefetch(prefetch);
        let batches = rows(&shuffled, 2);
        assert_eq!(batches.len(), 11);
        assert_eq!(batches.concat().into_iter().collect::<BTreeSet<_>>(), (0..103).collect());
        // The same seed and epoch, the same order, and no other.
        assert_eq!(rows(&shuffled, 2), rows(&of(103, 10).shuffled(5), 2));
        assert_ne!(batches, rows(&shuffled, 3));
        assert_ne!(batches, rows(&of(103, 10).shuffled(6), 2));
    }
}

/// Of four rows each of 24 orders comes about as often.
#[test]
fn orders_are_equally_likely() {
    let loader = of(4, 4).shuffled(1);
    let mut counts = std::collections::BTreeMap::new();
    (0..4800).for_each(|epoch| *counts.entry(rows(&loader, epoch).concat()).or_insert(0) += 1);
    assert_eq!(counts.len(), 24);
    // Two hundred each, with a standard deviation of 14.
    assert!(counts.values().all(|&count| (130..270).contains(&count)), "{counts:?}");
}

#[test]
fn what_fails_on_the_thread_reaches_the_caller() {
    for prefetch in [0, 2] {
        let failing = Loader::new(10, 1, |rows: &[usize]| match rows[0] {
            3 => Err(Error::Config { name: "row", reason: "the fourth is bad".into() }),
            row => Ok(row),
        });
        let mut epoch = failing.unwrap().prefetch(prefetch).epoch(0);
        let before: Vec<usize> = epoch.by_ref().take(3).map(Result::unwrap).collect();
        assert_eq!(before, [0, 1, 2]);
        assert!(epoch.next().unwrap().unwrap_err().to_string().contains("the fourth is bad"));
        assert!(epoch.next().is_none());
        // An operator that raises.
        let raising = Loader::new(2, 2, |_: &[usize]| Ok(NdArray::<f32>::ones(&[2]).reshape(&[3])));
        let error = raising.unwrap().prefetch(prefetch).epoch(0).next().unwrap().unwrap_err().to_string();
        assert!(error.contains("reshape: cannot turn [2] into [3] (tests/surface/loader.rs"), "{error}");
        // A panic.
        let panicking = Loader::new(4, 1, |rows: &[usize]| {
            assert!(rows[0] != 1, "the second is worse");
            Ok(rows[0])
        });
        let mut epoch = panicking.unwrap().prefetch(prefetch).epoch(0);
        assert_eq!(epoch.next().unwrap().unwrap(), 0);
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| epoch.next())).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the second is worse"));
        assert!(epoch.next().is_none());
    }
}

#[test]
fn batches_are_made_ahead_and_dropping_the_epoch_ends_the_thread() {
    let made = Arc::new(AtomicUsize::new(0));
    let counter = made.clone();
    // Counts batches, and is held by the thread as long as that lives.
    let alive = Arc::new(());
    let held = alive.clone();
    let loader = Loader::new(1000, 1, move |rows: &[usize]| {
        counter.fetch_add(1, Ordering::SeqCst);
        let _ = &held;
        Ok(rows[0])
    });
    let loader = loader.unwrap().prefetch(3);
    let mut epoch = loader.epoch(0);
    assert_eq!(epoch.next().unwrap().unwrap(), 0);
    // Three wait, and one more cannot be sent.
    for _ in 0..1000 {
        if made.load(Ordering::SeqCst) >= 5 {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(made.load(Ordering::SeqCst), 5);
    drop(loader);
    assert_eq!(Arc::strong_count(&alive), 2, "the thread holds the function still");
    drop(epoch);
    // Joined: it holds nothing any more.
    assert_eq!((made.load(Ordering::SeqCst), Arc::strong_count(&alive)), (5, 1));
}
