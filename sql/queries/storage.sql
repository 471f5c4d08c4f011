-- The entries of a contract now, key and value as JSON: -v contract_id=C…. Index: key_states_contract.
SELECT * FROM contract_data.storage(:'contract_id');
