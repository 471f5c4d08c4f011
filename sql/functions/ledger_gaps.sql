create or replace view contract_data.ledger_gaps as
select start_ledger, end_ledger, end_ledger - start_ledger + 1 as ledgers
from (
  select
    greatest(end_ledger + 1, (select retained_from from contract_data.settings)) as start_ledger,
    lead(start_ledger) over (order by start_ledger) - 1 as end_ledger
  from (
    select start_ledger, end_ledger from contract_data.ingestion_progress where status = 'completed'
    union all
    select ledger, ledger from contract_data.snapshots
  ) loaded
) between_windows
where start_ledger <= end_ledger;
comment on view contract_data.ledger_gaps is
  'Ledgers between the snapshot, if there is one, and completed windows that none of them covers, from settings.retained_from on.';
comment on column contract_data.ledger_gaps.start_ledger is 'First missing ledger.';
comment on column contract_data.ledger_gaps.end_ledger is 'Last missing ledger, inclusive.';
comment on column contract_data.ledger_gaps.ledgers is 'How many are missing.';
