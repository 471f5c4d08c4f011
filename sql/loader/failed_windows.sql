-- $1, $2: a range of ledgers, inclusive. The windows in it that failed, in order.
select start_ledger, end_ledger
from contract_data.ingestion_progress
where status = 'failed' and end_ledger >= $1 and start_ledger <= $2
order by start_ledger
