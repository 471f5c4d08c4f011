-- Windows that failed, are being loaded, or were abandoned: status, start, attempts, remark.
select status, start_ledger, end_ledger, attempts, started_at,
  case when status = 'processing' and expires_at < now() then 'abandoned by its host; the next run loads half of it'
    else error_message end as remark
from contract_data.ingestion_progress
where status <> 'completed'
order by start_ledger;
