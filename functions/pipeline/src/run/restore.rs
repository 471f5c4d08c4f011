//! Restore: chooses the objects of the archive that have the missing ledgers.

use std::collections::HashMap;

use object_store::path::Path;

use super::context::Context;
use crate::contract::tables::Table;
use crate::contract::window::LedgerWindow;
use crate::database::{Client, progress};
use crate::error::{Error, Result};
use crate::store::StagedObject;
use crate::store::archive::{ArchivedName, archived_names, archived_object, archived_within};
use crate::store::mark::{Mark, read_mark};

/// Ledgers of an archived object that are missing in the database.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// The object.
    pub(super) object: StagedObject,
    /// The ledgers: all of the object, or a part of it.
    pub(super) window: LedgerWindow,
}

/// The pieces of the archive that load the missing ledgers of a range, in order, and the ledgers that no object has.
/// Objects of databases that the archive never belonged to are not used.
///
/// # Errors
/// [`Error::Corrupt`] for an object that is unreadable or contradicts its name. [`Error::Schema`] for an object that
/// crosses a partition of this database.
pub(super) async fn archived_pieces(
    context: &Context,
    client: &Client,
    range: LedgerWindow,
) -> Result<(Vec<Piece>, Vec<LedgerWindow>)> {
    let (store, network) = (context.store(), context.network());
    let missing = progress::uncovered(client, range).await?;
    if missing.is_empty() {
        return Ok((Vec::new(), missing));
    }
    let names = archived_names(store, network, range).await?;
    let mark = read_mark(store, network).await?;
    let (pieces, mut absent) = choose(context, missing, names.clone(), mark.as_ref()).await?;
    // Asked for all that there is, only ledgers between the first object and the last can be missing.
    if range.end() == u32::MAX
        && let Some(whole) = names.iter().map(|name| name.2).reduce(LedgerWindow::span)
    {
        let start = if range.start() == 0 { whole.start() } else { range.start() };
        absent = absent.iter().filter_map(|gap| gap.from(start)?.until(whole.end())).collect();
    }
    Ok((pieces, absent))
}

/// The archived objects of this database whose ledgers are all `missing` in it. A server that was promoted or restored lacks
/// the last commits of the one before it, whose objects are in the archive.
///
/// # Errors
/// As [`archived_pieces`].
pub(super) async fn lost_windows(
    context: &Context,
    missing: Vec<LedgerWindow>,
    mark: &Mark,
) -> Result<Vec<Piece>> {
    let (store, network) = (context.store(), context.network());
    let names = archived_within(store, network, context.settings.partition_ledgers, &missing).await?;
    let (mut pieces, _) = choose(context, missing, names, Some(mark)).await?;
    pieces.retain(|piece| piece.object.window().is_ok_and(|whole| whole == piece.window));
    Ok(pieces)
}

/// Covers the missing ledgers with objects, reads the footers of those chosen, and chooses again without foreign ones.
async fn choose(
    context: &Context,
    missing: Vec<LedgerWindow>,
    mut names: Vec<ArchivedName>,
    mark: Option<&Mark>,
) -> Result<(Vec<Piece>, Vec<LedgerWindow>)> {
    names.sort_by_key(|name| name.2);
    let mut opened: HashMap<Path, StagedObject> = HashMap::new();
    loop {
        let windows: Vec<LedgerWindow> = names.iter().map(|name| name.2).collect();
        let (chosen, absent) = cover(&missing, &windows);
        let mut foreign = Vec::new();
        for (place, window) in &chosen {
            let name = &names[*place];
            if opened.contains_key(&name.0) {
                continue;
            }
            let object =
                archived_object(context.store(), context.network(), Table::Data, name.clone()).await?;
            let writer = object.footer.database_id;
            if mark.is_some_and(|mark| !mark.knows(writer)) {
                tracing::warn!(object = %object.path, database_id = %writer, "ignored an object of another database");
                foreign.push(name.0.clone());
                continue;
            }
            fits_partition(context, *window)?;
            opened.insert(name.0.clone(), object);
        }
        if foreign.is_empty() {
            let piece = |(place, window): &(usize, LedgerWindow)| {
                let object = opened.get(&names[*place].0)?.clone();
                Some(Piece { object, window: *window })
            };
            return Ok((chosen.iter().filter_map(piece).collect(), absent));
        }
        names.retain(|name| !foreign.contains(&name.0));
    }
}

/// Refuses a window that crosses a partition.
fn fits_partition(context: &Context, window: LedgerWindow) -> Result<()> {
    let size = context.settings.partition_ledgers;
    if window.start() / size == window.end() / size {
        return Ok(());
    }
    Err(Error::Schema(format!(
        "archived window {window} crosses a partition of {size} ledgers: restore into a database with the partition size it was \
         created for"
    )))
}

/// Covers ranges by windows, which are in order of their first ledgers: whole windows where one fits, else parts. Returns
/// the places of the chosen windows with the ledgers to take of each, and the ledgers that no window has.
fn cover(
    missing: &[LedgerWindow],
    windows: &[LedgerWindow],
) -> (Vec<(usize, LedgerWindow)>, Vec<LedgerWindow>) {
    let (mut chosen, mut absent) = (Vec::new(), Vec::new());
    let mut next = 0; // the first window that begins after the current ledger
    let mut farthest: Option<usize> = None; // of the windows before it, the one that ends last
    for free in missing {
        let mut rest = Some(*free);
        while let Some(free) = rest {
            let mut whole = None;
            while let Some(window) = windows.get(next).filter(|window| window.start() <= free.start()) {
                if window.start() == free.start() && window.end() <= free.end() {
                    whole = Some(next); // those with the same start are in order of their ends
                }
                if farthest.is_none_or(|place| windows[place].end() <= window.end()) {
                    farthest = Some(next);
                }
                next += 1;
            }
            let place = whole.or(farthest.filter(|place| windows[*place].end() >= free.start()));
            let end = match place {
                Some(place) => windows[place].end().min(free.end()),
                None => windows.get(next).map_or(free.end(), |window| (window.start() - 1).min(free.end())),
            };
            if let Some(taken) = free.until(end) {
                match place {
                    Some(place) => chosen.push((place, taken)),
                    None => absent.push(taken),
                }
            }
            rest = end.checked_add(1).and_then(|next| free.from(next));
        }
    }
    (chosen, absent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(start: u32, end: u32) -> LedgerWindow {
        LedgerWindow::new(start, end).unwrap()
    }

    fn covered(missing: &[(u32, u32)], windows: &[(u32, u32)]) -> (Vec<String>, Vec<String>) {
        let of = |pairs: &[(u32, u32)]| pairs.iter().map(|(start, end)| window(*start, *end)).collect();
        let (missing, mut windows): (Vec<_>, Vec<_>) = (of(missing), of(windows));
        windows.sort();
        let (chosen, absent) = cover(&missing, &windows);
        let chosen = chosen.iter().map(|(place, taken)| format!("{taken} of {}", windows[*place]));
        (chosen.collect(), absent.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn whole_objects_are_taken_where_they_fit_and_parts_elsewhere() {
        let none = Vec::<String>::new;
        assert_eq!(
            covered(&[(1, 20)], &[(1, 10), (11, 20)]),
            (vec!["1-10 of 1-10".into(), "11-20 of 11-20".into()], none())
        );
        assert_eq!(covered(&[(5, 20)], &[(1, 10), (11, 30)]).0, ["5-10 of 1-10", "11-20 of 11-30"]);
        assert_eq!(covered(&[(1, 10)], &[(1, 64), (1, 4), (5, 10)]).0, ["1-4 of 1-4", "5-10 of 5-10"]);
        assert_eq!(covered(&[(3, 4)], &[(1, 9), (2, 3)]), (vec!["3-4 of 1-9".into()], none()));
    }

    #[test]
    fn what_no_object_has_is_named() {
        let found = covered(&[(1, 9), (20, 40)], &[(3, 5), (7, 7), (25, 30)]);
        assert_eq!(found.0, ["3-5 of 3-5", "7-7 of 7-7", "25-30 of 25-30"]);
        assert_eq!(found.1, ["1-2", "6-6", "8-9", "20-24", "31-40"]);
        assert_eq!(covered(&[(5, 6)], &[]).1, ["5-6"]);
    }

    proptest! {
        /// Each missing ledger is taken once, from an object that has it, or named as absent when none has.
        #[test]
        fn each_missing_ledger_is_taken_once_or_absent(
            objects in proptest::collection::vec((0u32..60, 0u32..20), 0..12),
            gaps in proptest::collection::vec((1u32..8, 0u32..15), 1..5),
        ) {
            let mut windows: Vec<_> = objects.iter().map(|(start, length)| window(*start, start + length)).collect();
            windows.sort();
            let mut at = 0;
            let missing: Vec<_> = gaps.iter().map(|(gap, length)| {
                let start = at + gap;
                at = start + length + 1;
                window(start, start + length)
            }).collect();
            let (chosen, absent) = cover(&missing, &windows);
            for (place, taken) in &chosen {
                prop_assert!(taken.is_within(windows[*place]));
            }
            for ledger in 0..120 {
                let wanted = missing.iter().any(|free| free.contains(ledger));
                let there = windows.iter().any(|window| window.contains(ledger));
                let taken = chosen.iter().filter(|(_, taken)| taken.contains(ledger)).count();
                let named = absent.iter().filter(|gap| gap.contains(ledger)).count();
                prop_assert_eq!(taken, usize::from(wanted && there));
                prop_assert_eq!(named, usize::from(wanted && !there));
            }
        }
    }
}
