-- Gaps between loaded ledgers, the largest first, with the command that loads each.
select start_ledger, end_ledger, ledgers, format('ingestctl replay -s %s -e %s', start_ledger, end_ledger) as command
from contract_data.ledger_gaps
order by ledgers desc
limit 20;
