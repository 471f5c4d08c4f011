-- $1, $2: retained ledgers that no completed window covers. Rows that are there all the same.
select ledger_sequence, count(*) as rows
from contract_data.entries
where ledger_sequence between $1 and $2
group by 1
order by 1
limit 5
