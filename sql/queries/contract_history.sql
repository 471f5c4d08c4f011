-- The changes of one contract, newest first: -v contract_id=C…. Index: entries_contract_ledger.
SELECT ledger_sequence, change_index, closed_at, contract_key_type, contract_durability, deleted, balance_holder, balance,
  ledger_key_hash
FROM contract_data.entries
WHERE contract_id = :'contract_id'
ORDER BY ledger_sequence DESC, change_index DESC
LIMIT 100;
