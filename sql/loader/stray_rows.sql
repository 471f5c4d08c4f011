-- $1, $2: retained ledgers that no completed window covers. Rows that are there all the same.
select 'entries' as relation, ledger_sequence, count(*) as rows
from contract_data.entries
where ledger_sequence between $1 and $2
group by 2
union all
select 'ttl_changes', ledger_sequence, count(*)
from contract_data.ttl_changes
where ledger_sequence between $1 and $2
group by 2
order by 2, 1
limit 5
