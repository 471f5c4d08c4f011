-- One entry through time, newest first: -v contract_id=C… -v ledger_key_hash=…, as storage() gives it. Index: entries_contract_ledger.
SELECT ledger_sequence, change_index, closed_at, deleted, contract_data.scval(val_xdr) AS value
FROM contract_data.entries
WHERE contract_id = :'contract_id' AND ledger_key_hash = :'ledger_key_hash'
ORDER BY ledger_sequence DESC, change_index DESC
LIMIT 100;
