//! Reproducible random numbers: they depend only on seed, use and place, and not on platform or library versions.

/// What the numbers are used for. Each use has a stream of its own, so that no two uses correlate.
#[derive(Clone, Copy)]
pub(crate) enum Use {
    /// Whether a ledger has no rows.
    Empty = 1,
    /// How many rows a ledger has.
    Crowd,
    /// The ordinary rows of a ledger.
    Rows,
    /// Entries that are created, deleted and created again.
    Life,
    /// The ledgers in which asset contracts write their instance.
    Instances,
    /// Identities: contracts, holders, issuers, code hashes.
    Names,
    /// The contents of a value.
    Value,
    /// When entries are extended that live all the time.
    Keepers,
    /// The assets that a ledger names.
    Assets,
}

/// A stream of 64-bit numbers (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Dice {
    /// The stream for one use at one place, such as a ledger and a slot in it, of the chain with this seed.
    pub(crate) fn at(seed: u64, what: Use, a: u64, b: u64) -> Self {
        let place = mix(a.wrapping_add(STEP)) ^ mix(b.wrapping_add(STEP << 1)).rotate_left(32);
        Self(mix(seed ^ mix((what as u64).wrapping_mul(STEP))).wrapping_add(place))
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number from 0 to `n - 1`; 0 when `n` is 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// True with probability 1 in `n`.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A number in the range 0 to 1, without 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A rank below `n` (at least 1); small ranks are more likely. As groups, the ranks 0, 1-2, 3-6, 7-14 and so on are
    /// about equally likely, which approximates Zipf's law without a table.
    pub(crate) fn rank(&mut self, n: usize) -> usize {
        let octaves = u64::from(usize::BITS - n.leading_zeros());
        let octave = self.below(octaves);
        let rank = ((1u64 << octave) - 1 + self.below(1 << octave)) as usize;
        if rank < n { rank } else { rank / 2 }
    }

    /// Fills `out` with random bytes.
    pub(crate) fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }

    /// 32 random bytes: a hash, a contract id, a public key.
    pub(crate) fn bytes32(&mut self) -> [u8; 32] {
        let mut out = [0; 32];
        self.fill(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_uses_differ_and_repeat() {
        let first = |what, a, b| Dice::at(7, what, a, b).next();
        assert_eq!(first(Use::Rows, 1, 2), first(Use::Rows, 1, 2));
        assert_ne!(first(Use::Rows, 1, 2), first(Use::Rows, 2, 1));
        assert_ne!(first(Use::Rows, 1, 2), first(Use::Life, 1, 2));
        assert_ne!(first(Use::Rows, 1, 2), Dice::at(8, Use::Rows, 1, 2).next());
    }

    #[test]
    fn ranks_stay_below_n_and_favour_the_first() {
        let mut dice = Dice::at(1, Use::Rows, 0, 0);
        for n in [1, 2, 3, 11, 300, 4096] {
            let mut first = 0;
            for _ in 0..4_000 {
                let rank = dice.rank(n);
                assert!(rank < n, "{rank} of {n}");
                first += usize::from(rank == 0);
            }
            assert!(first > 4_000 / 20, "the first of {n} was drawn {first} times");
        }
    }
}
