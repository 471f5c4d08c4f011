//! The fingerprint of one ledger, stored in the database, to refuse a source of another chain or of a reset network before two
//! histories mix.

use arrow::array::{Array, AsArray};

use crate::contract::fingerprint::Fingerprint;
use crate::contract::tables::{Table, position};
use crate::contract::window::LedgerWindow;
use crate::contract::wire::SourceRange;
use crate::database::settings::{
    Settings, StoredFingerprint, fingerprint, store_fingerprint, store_fingerprint_hash,
};
use crate::database::{Client, progress};
use crate::error::{Error, Result};
use crate::source::{Drained, Flight, Offer, OfferedWindow, Trust, drain};

/// Compares the source's ledger of the fingerprint with it: by the hash of its header, if both are known, else by its rows; stores
/// one if there is none yet. If the source fails that ledger, the rows of another loaded ledger are compared with its entries.
///
/// A scheduled run (`scheduled`) also refuses a source that ends before that ledger; a replay may use a source with
/// other ledgers only.
///
/// # Errors
/// [`Error::Schema`], when the source has another history.
pub(super) async fn check_or_store(
    client: &Client,
    flight: &Flight,
    settings: &Settings,
    range: Option<&SourceRange>,
    scheduled: bool,
) -> Result<()> {
    let Some(remembered) = &settings.fingerprint else { return store_fingerprint(client).await };
    let ledger = remembered.ledger;
    if let Some(range) = range {
        if scheduled && range.end_ledger < i64::from(ledger) {
            return Err(Error::Schema(format!(
                "the source ends at ledger {}, but the database has ledger {ledger}: the network was reset, or the source \
                 serves another one; use a new database",
                range.end_ledger
            )));
        }
        if !range.ledgers().is_some_and(|available| available.contains(ledger)) {
            return Ok(());
        }
    }
    match compare(client, flight, remembered).await {
        // It may have gone bad since it was loaded, and then stops nothing: the loaded ledger next to it tells as much.
        Err(error @ (Error::Source { .. } | Error::BadData { .. })) => {
            compare_another(client, flight, range, ledger, error).await
        }
        compared => compared,
    }
}

/// Compares the ledger of the fingerprint; a hash that was not known yet is stored.
async fn compare(client: &Client, flight: &Flight, remembered: &StoredFingerprint) -> Result<()> {
    let ledger = remembered.ledger;
    let Some(offered) = offered(flight, ledger).await? else { return Ok(()) };
    let hash = offered.latest_hash.clone();
    if let (Some(known), Some(hash)) = (&remembered.hash, &hash) {
        return if known == hash { Ok(()) } else { Err(other_chain(ledger)) };
    }
    if drained_digest(flight, offered).await? != remembered.digest {
        return Err(other_chain(ledger));
    }
    match hash {
        Some(hash) => store_fingerprint_hash(client, ledger, &hash).await,
        None => Ok(()),
    }
}

/// Compares a loaded ledger next to that of the fingerprint, which the source fails with `error`.
async fn compare_another(
    client: &Client,
    flight: &Flight,
    range: Option<&SourceRange>,
    ledger: u32,
    error: Error,
) -> Result<()> {
    let available = match range.and_then(SourceRange::ledgers) {
        Some(available) => available,
        None => LedgerWindow::new(0, u32::MAX)?,
    };
    let Some(other) = progress::control_ledger(client, LedgerWindow::single(ledger), available).await? else {
        return Err(error);
    };
    let Ok(Some(offered)) = offered(flight, other).await else { return Err(error) };
    let Ok(digest) = drained_digest(flight, offered).await else { return Err(error) };
    tracing::warn!(ledger, error = %error.chain(), compared = other, "cannot compare the ledger of the fingerprint");
    if digest == fingerprint(client, other).await? { Ok(()) } else { Err(other_chain(other)) }
}

/// The error for a source whose ledger is another.
fn other_chain(ledger: u32) -> Error {
    Error::Schema(format!(
        "ledger {ledger} differs between source and database: the network was reset, or the source \
         serves another one; use a new database"
    ))
}

/// The source's offer of one ledger; `None` if it does not have the ledger.
async fn offered(flight: &Flight, ledger: u32) -> Result<Option<OfferedWindow>> {
    match flight.offer(Table::Data, LedgerWindow::single(ledger), Trust::WholeStream).await? {
        Offer::Ledgers(offered) => Ok(Some(*offered)),
        Offer::NothingYet => Ok(None),
    }
}

/// The fingerprint of one ledger of the source.
async fn drained_digest(flight: &Flight, offered: OfferedWindow) -> Result<String> {
    let mut drain = drain(flight, offered);
    let mut digest = Fingerprint::default();
    loop {
        match drain.next().await? {
            Drained::Batch(batch) | Drained::OutOfOrder(batch) => {
                let text = |column: usize| batch.column(column).as_string::<i32>();
                let (keys, values) = (text(position::LEDGER_KEY_HASH), text(position::VAL_XDR));
                let deleted = batch.column(position::DELETED).as_boolean();
                for row in 0..batch.num_rows() {
                    let value = values.is_valid(row).then(|| values.value(row));
                    digest.add(keys.value(row), value, deleted.value(row));
                }
            }
            Drained::Complete(..) => return Ok(digest.finish()),
        }
    }
}
