//! Checkpoints: which ledgers they are, and the names of their files.

use object_store::path::Path;
use pipeline::contract::checkpoint::EVERY;

/// The first checkpoint of a network.
pub(crate) const FIRST: u32 = EVERY - 1;

/// The name of the file that names the newest checkpoint.
pub(crate) const NEWEST: &str = ".well-known/stellar-history.json";

/// Whether a ledger is a checkpoint, in any archive.
pub(crate) fn is_checkpoint(ledger: u32) -> bool {
    ledger % EVERY == FIRST
}

/// The number of a checkpoint, from 0 on.
pub(crate) fn number(checkpoint: u32) -> u32 {
    checkpoint / EVERY
}

/// The checkpoint with this number.
pub(crate) fn numbered(number: u32) -> u32 {
    number * EVERY + FIRST
}

/// Of the checkpoints from `oldest` to `newest`, the one nearest to a ledger; the later one of two.
pub(crate) fn nearest(ledger: u32, oldest: u32, newest: u32) -> u32 {
    let (below, above) = match ledger / EVERY {
        _ if is_checkpoint(ledger) => (ledger, ledger),
        0 => (FIRST, FIRST),
        number => (numbered(number - 1), numbered(number)),
    };
    let near = if above - ledger.min(above) <= ledger - below.min(ledger) { above } else { below };
    near.clamp(oldest, newest)
}

/// The name of the state file of a checkpoint.
pub(crate) fn state(checkpoint: u32) -> String {
    named("history", &format!("{checkpoint:08x}"), "json")
}

/// The name of the file with the headers of the ledgers up to a checkpoint.
pub(crate) fn headers(checkpoint: u32) -> String {
    named("ledger", &format!("{checkpoint:08x}"), "xdr.gz")
}

/// The name of the bucket with this hash, in hexadecimal.
pub(crate) fn bucket(hash: &str) -> String {
    named("bucket", hash, "xdr.gz")
}

fn named(kind: &str, hex: &str, extension: &str) -> String {
    let part = |i: usize| hex.get(2 * i..2 * i + 2).unwrap_or_default();
    format!("{kind}/{}/{}/{}/{kind}-{hex}.{extension}", part(0), part(1), part(2))
}

/// A file of an archive as a path below its root.
pub(crate) fn below(root: &Path, name: &str) -> Path {
    name.split('/').fold(root.clone(), Path::join)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_as_stellar_core_names_them() {
        assert_eq!(state(10_047), "history/00/00/27/history-0000273f.json");
        assert_eq!(headers(63), "ledger/00/00/00/ledger-0000003f.xdr.gz");
        let hash = "e47e6eec9c8152ae5440ea3dd2cf3420913cb7fdd699fdd258a2793acbd5aba4";
        assert_eq!(bucket(hash), format!("bucket/e4/7e/6e/bucket-{hash}.xdr.gz"));
        let root = Path::from("prd/core_live_001");
        assert_eq!(below(&root, NEWEST).as_ref(), "prd/core_live_001/.well-known/stellar-history.json");
    }

    #[test]
    fn a_checkpoint_is_every_64th_ledger() {
        let all: Vec<u32> = (0..256).filter(|ledger| is_checkpoint(*ledger)).collect();
        assert_eq!(all, [63, 127, 191, 255]);
        assert!(all.iter().enumerate().all(|(i, ledger)| number(*ledger) == i as u32));
        assert!(all.iter().enumerate().all(|(i, ledger)| numbered(i as u32) == *ledger));
        assert!(is_checkpoint(u32::MAX) && numbered(number(u32::MAX)) == u32::MAX);
    }

    #[test]
    fn the_nearest_checkpoint_is_one_that_exists() {
        for (ledger, expected) in [
            (0, 127),
            (127, 127),
            (150, 127),
            (159, 191),
            (190, 191),
            (192, 191),
            (193, 191),
            (254, 255),
            (255, 255),
            (400, 255),
            (u32::MAX, 255),
        ] {
            assert_eq!(nearest(ledger, 127, 255), expected, "{ledger}");
        }
        assert_eq!((nearest(5, 63, 63), nearest(u32::MAX - 1, 63, u32::MAX)), (63, u32::MAX));
    }
}
