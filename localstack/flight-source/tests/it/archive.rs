//! A history archive as a source.

use std::path::Path;

use flight_source::{Archive, ArchiveOptions};
use pipeline::contract::checkpoint::{Checkpoint, Checkpoints, state_path};

use super::*;
use crate::record::{AssetRecord, Record, TtlRecord, asset_records, records, ttl_records};

mod real;
mod refusals;
mod states;
mod stores;
mod throughput;
mod web;
mod wire;

fn archive_at(directory: &Path) -> ArchiveOptions {
    ArchiveOptions { url: directory.display().to_string(), ..ArchiveOptions::default() }
}

async fn serve_archive(options: &ArchiveOptions) -> Source {
    let archive = Archive::open(options, None).await.unwrap();
    serve_with(Arc::new(archive), super::options()).await
}

/// All rows of the state at a checkpoint.
#[derive(Debug, PartialEq)]
struct Whole {
    checkpoint: Checkpoint,
    data: Vec<Record>,
    ttl: Vec<TtlRecord>,
    assets: Vec<AssetRecord>,
}

impl Source {
    async fn state_info(&mut self, table: Table, ledger: Option<u32>) -> Result<FlightInfo, Status> {
        let path = state_path(table, ledger);
        Ok(self.client.get_flight_info(FlightDescriptor::new_path(path)).await?.into_inner())
    }

    async fn checkpoints(&mut self) -> Result<Checkpoints, Status> {
        let info = self.state_info(Table::Data, None).await?;
        Ok(Checkpoints::from_metadata(&info.app_metadata).unwrap())
    }

    /// The rows of a table of the state at a checkpoint, as many as it declares.
    async fn state_rows(&mut self, table: Table, ledger: u32) -> Result<(Checkpoint, RecordBatch), Status> {
        let info = self.state_info(table, Some(ledger)).await?;
        let checkpoint = Checkpoint::from_metadata(&info.app_metadata).unwrap();
        let declared = info.total_records;
        let rows = self.drain(info).await;
        assert_eq!(rows.num_rows() as i64, declared, "rows of {table:?} at {ledger}");
        Ok((checkpoint, rows))
    }

    async fn whole(&mut self, ledger: u32) -> Result<Whole, Status> {
        let (checkpoint, data) = self.state_rows(Table::Data, ledger).await?;
        let (of_ttl, ttl) = self.state_rows(Table::Ttl, ledger).await?;
        let (of_assets, assets) = self.state_rows(Table::Assets, ledger).await?;
        assert!(checkpoint == of_ttl && checkpoint == of_assets);
        Ok(Whole { checkpoint, data: records(&data), ttl: ttl_records(&ttl), assets: asset_records(&assets) })
    }
}
