//! Streams of choices, from which tests grow random cases: a failing case is made smaller by making its stream smaller.
//! (The idea is that of MacIver & Donaldson, *Test-Case Reduction via Test-Case Generation*, ECOOP 2020.)

/// A stream of choices from a seed (xorshift64*; Vigna 2016).
pub fn choices(seed: u64, len: usize) -> Vec<u32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// Takes a choice of `0..n` from a stream; zero when it has run out.
pub fn below(choices: &mut &[u32], n: usize) -> usize {
    match choices.split_first() {
        Some((&first, rest)) => {
            *choices = rest;
            first as usize % n
        }
        None => 0,
    }
}

/// The simplest stream that can be found on which `fails` still holds: shorter ones first, then smaller choices.
pub fn shrink(mut choices: Vec<u32>, fails: impl Fn(&[u32]) -> bool) -> Vec<u32> {
    loop {
        let before = choices.clone();
        let mut width = choices.len().div_ceil(2);
        while width > 0 {
            let mut start = 0;
            while start < choices.len() {
                let end = (start + width).min(choices.len());
                let shorter = [&choices[..start], &choices[end..]].concat();
                if fails(&shorter) {
                    choices = shorter;
                } else {
                    start += width;
                }
            }
            width /= 2;
        }
        let mut i = 0;
        while i < choices.len() {
            let old = choices[i];
            let alone = [0, 1, old % 64, old / 2].map(|smaller| (smaller, 0));
            // Fewer statements take fewer choices.
            let with_others = [1, 2, 3, 4, 5, 6, 8].map(|gone| (old.saturating_sub(1), gone));
            for (smaller, gone) in alone.into_iter().chain(with_others) {
                if smaller < choices[i] {
                    let rest = (i + 1 + gone).min(choices.len());
                    let other = [&choices[..i], &[smaller], &choices[rest..]].concat();
                    if fails(&other) {
                        choices = other;
                    }
                }
            }
            i += 1;
        }
        if choices == before {
            return choices;
        }
    }
}
