//! Luck that every process agrees on.

/// A number from 0 up to 1 that depends on the seed and the key alone: the same in every process, on every machine.
#[must_use]
pub fn chance(seed: u64, key: &str) -> f64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ mixed(seed);
    for byte in key.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let top = u32::try_from(mixed(hash) >> 32).unwrap_or(u32::MAX);
    f64::from(top) / (f64::from(u32::MAX) + 1.0)
}

/// Spreads every bit over all others (the last step of SplitMix64).
fn mixed(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::chance;

    #[test]
    fn chances_are_even_and_differ_with_seed_and_key() {
        for seed in [0, 1, 7, u64::MAX] {
            let below = (0..10_000).filter(|n| chance(seed, &format!("delivery-{n}")) < 0.3).count();
            assert!((2_850..3_150).contains(&below), "seed {seed}: {below} of 10,000");
        }
        assert_ne!(chance(1, "a").to_bits(), chance(2, "a").to_bits());
        assert_eq!(chance(7, "a").to_bits(), chance(7, "a").to_bits());
    }
}
