-- A query in the words of Hubble, one row per entry and ledger as there: -v contract_id=C…. Index: entries_contract_ledger.
SELECT ledger_sequence, closed_at, key_decoded #>> '{vec,1,address}' AS holder, val_decoded ->> 'i128' AS amount, deleted
FROM (
  SELECT DISTINCT ON (ledger_sequence, ledger_key_hash) *
  FROM contract_data.hubble_contract_data
  WHERE contract_id = :'contract_id' AND contract_key_type = 'ScValTypeScvVec'
  ORDER BY ledger_sequence DESC, ledger_key_hash, change_index DESC
) AS contract_data
WHERE key_decoded #>> '{vec,0,symbol}' = 'Balance'
LIMIT 100;
