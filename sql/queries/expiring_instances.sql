-- The contracts whose instance ends first unless somebody extends it: then nobody can call them. Index: key_states_instances.
SELECT contract_id, live_until_ledger, live_until_ledger - newest_ledger AS ledgers_left
FROM contract_data.current_states, contract_data.folded_ledgers
WHERE contract_key_type = 'ScValTypeScvLedgerKeyContractInstance' AND liveness = 'live'
ORDER BY live_until_ledger, contract_id
LIMIT 100;
