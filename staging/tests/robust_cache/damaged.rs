//! Files whose bytes changed.

use antiphon_staging::jit::cache::{Object, decode, encode};

use crate::{key, object};

/// The splitmix64 generator of Steele, Lea and Flood.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

fn mutate(bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = rng.below(bytes.len().max(1));
    if bytes.is_empty() {
        return vec![1; rng.below(100)];
    }
    match rng.below(6) {
        0 => bytes[at] ^= 1 << rng.below(8),
        1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.below(5)],
        2 => bytes.truncate(at),
        3 => drop(bytes.splice(at..at, (0..=rng.below(64)).map(|i| i as u8))),
        4 => drop(bytes.drain(at..(at + 1 + rng.below(32)).min(bytes.len()))),
        _ if bytes.len() < 32 => bytes.clear(),
        _ => {
            // A number of the header.
            let values = [0, 1, bytes.len() as u64, u64::MAX, 1 << 63, 1 << 40, 1 << 32, 64 << 30];
            let field = rng.below(4) * 8;
            bytes[field..field + 8].copy_from_slice(&values[rng.below(values.len())].to_le_bytes());
        }
    }
    bytes
}

#[test]
fn twenty_thousand_damaged_files_are_refused_unless_they_are_what_they_were() {
    let (object, mut rng) = (object(7, 300), Rng(1));
    let whole = encode(&key(1), &object).unwrap();
    assert_eq!(decode(&key(1), &whole), Some(object.clone()));
    assert_eq!(decode(&key(2), &whole), None, "the code of another program");
    let mut refused = 0;
    for case in 0..20_000 {
        let mut bytes = mutate(&whole, &mut rng);
        if case % 3 == 0 {
            bytes = mutate(&bytes, &mut rng);
        }
        match decode(&key(1), &bytes) {
            Some(found) => assert!(bytes == whole && found == object, "case {case}"),
            None => refused += 1,
        }
    }
    assert!(refused > 19_000, "{refused}");
    let large = Object { arena: 1 << 50, ..object };
    assert_eq!(encode(&key(1), &large), None, "no arena is so large");
}
