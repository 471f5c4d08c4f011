-- What folded_ledgers says against the windows that are marked as folded, and the snapshot.
select f.ledgers::text as noted, w.ledgers::text as folded, f.with_ttls::text as noted_with_ttls, w.with_ttls::text as folded_with_ttls
from contract_data.folded_ledgers f, (
  select coalesce(range_agg(int8range(start_ledger, end_ledger, '[]')), '{}')
      + (select ledgers from contract_data.snapshot_ledgers()) as ledgers,
    coalesce(range_agg(int8range(start_ledger, end_ledger, '[]'))
      filter (where id in (select window_id from contract_data.window_tables where table_name = 'ttl')), '{}')
      + (select with_ttls from contract_data.snapshot_ledgers()) as with_ttls
  from contract_data.ingestion_progress where status = 'completed' and folded) w
where (f.ledgers, f.with_ttls) is distinct from (w.ledgers, w.with_ttls)
