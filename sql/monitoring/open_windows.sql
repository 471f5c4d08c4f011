-- Windows that failed, and windows that somebody works on or gave up: what, since when, how often.
select status, start_ledger, end_ledger, attempts, started_at,
  case when status = 'processing' and expires_at < now() then 'given up by its host; the next run takes half of it'
    else error_message end as remark
from contract_data.ingestion_progress
where status <> 'completed'
order by start_ledger;
