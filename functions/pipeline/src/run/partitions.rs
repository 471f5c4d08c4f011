//! Partitions of a run, made before its workers start.

use super::context::Context;
use crate::contract::window::LedgerWindow;
use crate::database::Session;
use crate::database::load::ensure_partition;
use crate::error::Result;

/// The largest number of partitions that are made ahead; workers make the others. A role of a loader may leave no more than 1,000
/// empty ones.
const AHEAD: usize = 250;

/// Makes the partitions of these ranges: a session may not see one that another session has just made.
///
/// # Errors
/// [`Error::Database`](crate::Error::Database).
pub(super) async fn make_partitions(
    context: &Context,
    ranges: impl IntoIterator<Item = LedgerWindow>,
) -> Result<()> {
    let size = context.settings.partition_ledgers;
    let mut partitions: Vec<u32> = Vec::new();
    for range in ranges {
        let starts = (range.start() / size..=range.end() / size).map(|number| number * size);
        partitions.extend(starts.take(AHEAD));
    }
    partitions.sort_unstable();
    partitions.dedup();
    partitions.truncate(AHEAD);
    if partitions.len() < 2 {
        return Ok(()); // one worker makes it, and the others follow
    }
    for partition in partitions {
        let make = |client: Session, _| async move { ensure_partition(&client, partition).await };
        context.retry_on_session("partition", make).await?;
    }
    Ok(())
}
