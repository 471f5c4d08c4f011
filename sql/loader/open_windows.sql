-- $1: rows of a kind, at most. Hints that still mean something, and windows that failed; how many of each there are.
select start_ledger, end_ledger, status, started_at, completed_at, attempts, error_message, of_kind
from (
  select start_ledger, end_ledger, status, started_at, completed_at, attempts, left(error_message, 4000) as error_message,
    count(*) over (partition by status) as of_kind,
    row_number() over (partition by status order by start_ledger) as place
  from contract_data.ingestion_progress
  where status = 'failed' or (status = 'processing' and expires_at > now())
) open_windows
where place <= $1
order by start_ledger
