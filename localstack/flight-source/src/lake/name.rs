//! The names of objects and folders in a lake: `FCD285FF--53312000-53312063.xdr.zst`. The hexadecimal number is u32::MAX
//! minus the first ledger, so that the newest object comes first in a listing.

use pipeline::LedgerWindow;

/// The compression of an object, by the extension of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// `.xdr`
    Plain,
    /// `.xdr.zstd`, `.xdr.zst`
    Zstd,
    /// `.xdr.gz`
    Gzip,
}

/// The prefix of the names of objects and folders that start at `ledger`; those of later ledgers sort before it.
pub(crate) fn prefix(ledger: u32) -> String {
    format!("{:08X}", u32::MAX - ledger)
}

/// The ledgers and the compression of the object with this name, without folder; `None` if it is not a name of Galexie.
pub(crate) fn object(name: &str) -> Option<(LedgerWindow, Compression)> {
    let (range, extension) = name.split_once('.')?;
    let compression = match extension {
        "xdr" => Compression::Plain,
        "xdr.zstd" | "xdr.zst" => Compression::Zstd,
        "xdr.gz" => Compression::Gzip,
        _ => return None,
    };
    Some((window(range)?, compression))
}

/// The ledgers of the partition with this folder name; `None` if it is not one.
pub(crate) fn partition(folder: &str) -> Option<LedgerWindow> {
    window(folder)
}

/// The ledgers that an object with these ledgers in its name contains: no lake contains the genesis ledger, so the first
/// object starts with ledger 2.
pub(crate) fn without_genesis(ledgers: LedgerWindow) -> LedgerWindow {
    ledgers.from(2).unwrap_or(ledgers)
}

fn window(text: &str) -> Option<LedgerWindow> {
    let (hex, range) = text.split_once("--")?;
    let (start, end) = range.split_once('-').unwrap_or((range, range));
    let number = |digits: &str| match digits.bytes().all(|digit| digit.is_ascii_digit()) {
        true => digits.parse::<u32>().ok(),
        false => None,
    };
    let window = LedgerWindow::new(number(start)?, number(end)?).ok()?;
    (prefix(window.start()) == hex).then_some(window)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_which_ledgers_and_how_compressed() {
        let one = LedgerWindow::single(53_312_000);
        let many = LedgerWindow::new(53_312_000, 53_312_063).unwrap();
        assert_eq!(object("FCD285FF--53312000.xdr.zstd"), Some((one, Compression::Zstd)));
        assert_eq!(object("FCD285FF--53312000-53312063.xdr.zst"), Some((many, Compression::Zstd)));
        assert_eq!(object("FCD285FF--53312000-53312063.xdr.gz"), Some((many, Compression::Gzip)));
        assert_eq!(object("FCD285FF--53312000.xdr"), Some((one, Compression::Plain)));
        let first = LedgerWindow::new(0, 63).unwrap();
        assert_eq!(object("FFFFFFFF--0-63.xdr.zst"), Some((first, Compression::Zstd)));
        assert_eq!(partition("FCD285FF--53312000-53375999").map(LedgerWindow::ledgers), Some(64_000));
    }

    #[test]
    fn a_name_that_contradicts_itself_is_none() {
        for name in [
            "FCD285FE--53312000.xdr.zstd",
            "fcd285ff--53312000.xdr.zstd",
            "FCD285FF--53312000-53311999.xdr.zst",
            "FCD285FF--53312000.xdr.lz4",
            "FCD285FF--53312000",
            "FCD285FF--+53312000.xdr",
            "FCD285FF-53312000.xdr",
            ".config.json",
            "",
        ] {
            assert_eq!(object(name), None, "{name}");
        }
    }
}
