//! Observing: two tasks beside the loop, each with its own session, so that the reported state stays current while a
//! run is long, fails, or hangs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pipeline::Observer;

use super::standing::Standing;

/// The pause between two checks of database and source. A check takes at most 5 seconds, so an outage is noticed within
/// 8.
const BETWEEN_LOOKS: Duration = Duration::from_secs(3);

/// The shortest pause between two overviews.
const BETWEEN_OVERVIEWS: Duration = Duration::from_secs(4);

/// A pause is this many times as long as the reading before it, to limit the load on a large database.
const REST: u32 = 20;

/// Bins of the coverage chart.
const BINS: u16 = 240;

/// Starts both tasks; they end with the process.
pub(super) fn start(standing: &Arc<Standing>, looker: Observer, reader: Observer) {
    tokio::spawn(look(Arc::clone(standing), looker));
    tokio::spawn(read(Arc::clone(standing), reader));
}

async fn look(standing: Arc<Standing>, mut observer: Observer) {
    let mut was_well = None;
    loop {
        let seen = Box::pin(observer.look()).await;
        let problems: Vec<&String> =
            [&seen.database_error, &seen.schema_error, &seen.source_error].into_iter().flatten().collect();
        let is_well = problems.is_empty();
        if was_well.replace(is_well) != Some(is_well) {
            match problems.first() {
                None => tracing::info!("database and source answer"),
                Some(problem) => tracing::warn!(error = %problem, "database or source is out of reach"),
            }
        }
        standing.saw(seen);
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

async fn read(standing: Arc<Standing>, mut observer: Observer) {
    let mut failing = false;
    loop {
        let Some(seen) = standing.snapshot().seen else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let reachable = &seen.reachable;
        let begun = Instant::now();
        let overview = match reachable.database_error.as_ref().or(reachable.schema_error.as_ref()) {
            Some(problem) => Err(problem.clone()),
            None => Box::pin(observer.overview(reachable, BINS)).await.map_err(|error| error.chain()),
        };
        match &overview {
            Ok(_) => failing = false,
            Err(error) if !std::mem::replace(&mut failing, true) => {
                tracing::warn!(%error, "cannot read the overview")
            }
            Err(_) => {}
        }
        standing.read(overview);
        tokio::time::sleep(BETWEEN_OVERVIEWS.max(begun.elapsed() * REST)).await;
    }
}
