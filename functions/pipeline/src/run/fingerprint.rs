//! The fingerprint of one ledger, stored in the database, to refuse a source of another chain or of a reset network before two
//! histories mix.

use arrow::array::{Array, AsArray};

use crate::contract::fingerprint::Fingerprint;
use crate::contract::tables::{Table, position};
use crate::contract::window::LedgerWindow;
use crate::contract::wire::SourceRange;
use crate::database::settings::{Settings, fingerprint, store_fingerprint};
use crate::database::{Client, progress};
use crate::error::{Error, Result};
use crate::source::{Drained, Flight, Offer, Trust, drain};

/// Compares the source's rows of the fingerprint's ledger with the fingerprint; stores one if there is none yet. If the source
/// fails that ledger, those of another loaded ledger are compared with its entries.
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
    let Some((ledger, remembered)) = settings.fingerprint.clone() else {
        return store_fingerprint(client).await;
    };
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
    let (ledger, remembered, digest) = match source_digest(flight, ledger).await {
        Ok(digest) => (ledger, remembered, digest),
        // It may have gone bad since it was loaded, and then stops nothing: the loaded ledger next to it tells as much.
        Err(error @ (Error::Source { .. } | Error::BadData { .. })) => {
            let available = match range.and_then(SourceRange::ledgers) {
                Some(available) => available,
                None => LedgerWindow::new(0, u32::MAX)?,
            };
            let beside = LedgerWindow::single(ledger);
            let Some(other) = progress::control_ledger(client, beside, available).await? else {
                return Err(error);
            };
            let Ok(digest) = source_digest(flight, other).await else { return Err(error) };
            tracing::warn!(ledger, error = %error.chain(), compared = other, "cannot compare the ledger of the fingerprint");
            (other, fingerprint(client, other).await?, digest)
        }
        Err(error) => return Err(error),
    };
    match digest {
        Some(digest) if digest != remembered => Err(Error::Schema(format!(
            "ledger {ledger} differs between source and database: the network was reset, or the source \
             serves another one; use a new database"
        ))),
        _ => Ok(()),
    }
}

/// The fingerprint of one ledger of the source; `None` if the source does not offer the ledger.
async fn source_digest(flight: &Flight, ledger: u32) -> Result<Option<String>> {
    let window = LedgerWindow::single(ledger);
    let Offer::Ledgers(offered) = flight.offer(Table::Data, window, Trust::WholeStream).await? else {
        return Ok(None);
    };
    let mut drain = drain(flight, *offered);
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
            Drained::Complete(..) => return Ok(Some(digest.finish())),
        }
    }
}
