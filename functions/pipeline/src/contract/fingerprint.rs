//! The fingerprint of a ledger: what it changed, in whatever order its changes are sent, and whatever else a later release
//! derives from them.

use sha2::{Digest, Sha256};

use super::xdr::base16;

/// Collects the changes of one ledger.
#[derive(Debug, Default)]
pub(crate) struct Fingerprint(Vec<[u8; 32]>);

impl Fingerprint {
    /// Adds a change: the entry, the value that it has, and whether it was removed. `sql/loader/ledger_fingerprint.sql` is the
    /// same in SQL.
    pub(crate) fn add(&mut self, key_hash: &str, value: Option<&str>, deleted: bool) {
        let change = format!("{key_hash}|{}|{deleted}", value.unwrap_or("-"));
        self.0.push(Sha256::digest(change).into());
    }

    /// The SHA-256 of the hashes of all changes, sorted; in hexadecimal.
    pub(crate) fn finish(mut self) -> String {
        self.0.sort_unstable();
        base16(&Sha256::digest(self.0.concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(changes: &[(&str, Option<&str>, bool)]) -> String {
        let mut fingerprint = Fingerprint::default();
        changes.iter().for_each(|(key, value, deleted)| fingerprint.add(key, *value, *deleted));
        fingerprint.finish()
    }

    #[test]
    fn it_depends_on_all_changes_and_not_on_their_order() {
        let (a, b) = (("a", Some("x"), false), ("b", None, true));
        assert_eq!(of(&[a, b]), of(&[b, a]));
        let others: [&[_]; 6] = [
            &[a],
            &[a, b, b],
            &[("a", Some("y"), false), b],
            &[("a", None, false), b],
            &[("a", Some("x"), true), b],
            &[],
        ];
        for other in others {
            assert_ne!(of(other), of(&[a, b]), "{other:?}");
        }
    }
}
