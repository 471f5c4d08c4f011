//! NUMERIC in binary: base-10000 digits, most significant first, without zeros at either end.

/// The largest i128 has 39 decimal digits: 10 groups of four.
const GROUPS: usize = 10;

/// Appends a NUMERIC field with the exact value, as PostgreSQL itself would send it.
pub(super) fn put(out: &mut Vec<u8>, value: i128) {
    let mut groups = [0u16; GROUPS];
    let mut rest = value.unsigned_abs();
    let mut first = GROUPS;
    while rest > 0 {
        first -= 1;
        // a remainder of 10000 fits
        groups[first] = (rest % 10_000) as u16;
        rest /= 10_000;
    }
    let weight = GROUPS - first;
    let digits = &groups[first..];
    let trailing = digits.iter().rev().take_while(|d| **d == 0).count();
    let digits = &digits[..digits.len() - trailing];
    let sign: u16 = if value < 0 { 0x4000 } else { 0 };

    out.extend_from_slice(&(8 + 2 * digits.len() as u32).to_be_bytes());
    out.extend_from_slice(&(digits.len() as u16).to_be_bytes());
    out.extend_from_slice(&(weight.saturating_sub(1) as u16).to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&0u16.to_be_bytes()); // no decimal places
    for digit in digits {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    /// The field without its length, as 16-bit words.
    fn words(value: i128) -> Vec<u16> {
        let mut out = Vec::new();
        super::put(&mut out, value);
        assert_eq!(usize::from(out[3]) + 4, out.len(), "the length counts what follows");
        out[4..].chunks(2).map(|w| u16::from_be_bytes([w[0], w[1]])).collect()
    }

    #[test]
    fn digits_weight_and_sign() {
        assert_eq!(words(0), [0, 0, 0, 0]);
        assert_eq!(words(1), [1, 0, 0, 0, 1]);
        assert_eq!(words(-9_999), [1, 0, 0x4000, 0, 9_999]);
        assert_eq!(words(10_000), [1, 1, 0, 0, 1]);
        assert_eq!(words(100_000_001), [3, 2, 0, 0, 1, 0, 1]);
        assert_eq!(
            words(i128::MIN),
            [10, 9, 0x4000, 0, 170, 1411, 8346, 469, 2317, 3168, 7303, 7158, 8410, 5728]
        );
    }
}
