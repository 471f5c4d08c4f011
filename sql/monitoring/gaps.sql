-- Ledgers that are missing between loaded ones, the largest gaps first, and the command that loads them.
select start_ledger, end_ledger, ledgers, format('ingestctl replay -s %s -e %s', start_ledger, end_ledger) as command
from contract_data.ledger_gaps
order by ledgers desc
limit 20;
