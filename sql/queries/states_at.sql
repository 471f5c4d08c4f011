-- The entries of a contract after a ledger, key and value as JSON: -v contract_id=C… -v ledger=N. Index: entries_contract_ledger.
SELECT * FROM contract_data.states_at(:'contract_id', :'ledger');
