-- Who held most of a token after a ledger: -v contract_id=C… -v ledger=N. Index: entries_contract_ledger.
SELECT
  key #>> '{vec,1,address}' AS holder,
  coalesce(value ->> 'i128', jsonb_path_query_first(value, '$.map[*] ? (@.key.symbol == "amount").val.i128') #>> '{}')::numeric AS amount,
  ledger_sequence
FROM contract_data.states_at(:'contract_id', :'ledger')
WHERE key #>> '{vec,0,symbol}' = 'Balance'
ORDER BY amount DESC
LIMIT 100;
