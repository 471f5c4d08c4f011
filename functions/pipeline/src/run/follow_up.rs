//! The work after the loads of a run: the fold, summaries and statistics.

use super::context::Context;
use crate::database::{Session, fold};
use crate::error::{DatabaseContext, Result};
use crate::report::{Event, Report, Watch};

/// Folds the loaded windows on a separate session, with retries.
pub(super) async fn fold_pending(context: &Context, watch: &Watch) -> Result<()> {
    watch(Event::Folding);
    let fold = |client: Session, _| async move { fold::fold_pending(&client).await };
    context.retry_on_session("fold", fold).await.map(drop)
}

/// Updates BRIN summaries and statistics of the partitions that received rows.
pub(super) async fn tend(context: &Context, report: &Report) -> Result<()> {
    let size = context.settings.partition_ledgers;
    let mut partitions: Vec<u32> =
        report.windows.iter().filter(|w| w.rows > 0).map(|w| w.start_ledger / size * size).collect();
    partitions.sort_unstable();
    partitions.dedup();
    for partition in partitions {
        let tend = |client: Session, _| async move {
            let tended =
                client.execute("select contract_data.tend_partition($1)", &[&i64::from(partition)]).await;
            tended.database("summarise and analyse the partition")
        };
        context.retry_on_session("tend", tend).await?;
    }
    Ok(())
}
