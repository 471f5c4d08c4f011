-- The tokens that describe themselves, and those of assets. Index: key_states_instances, with contract_id; a list of all reads the
-- instances of all contracts.
SELECT symbol, name, decimals, kind, contract_id
FROM contract_data.contract_tokens
ORDER BY kind DESC, symbol, contract_id;
