-- The balance changes of one token contract, newest first: -v contract_id=C…. Index: entries_contract_ledger.
SELECT * FROM contract_data.get_balance_history(:'contract_id', 100);
