-- What the holders of a token let others spend: -v contract_id=C…. Index: key_states_contract.
SELECT
  jsonb_path_query_first(key, '$.vec[1].map[*] ? (@.key.symbol == "from").val.address') #>> '{}' AS holder,
  jsonb_path_query_first(key, '$.vec[1].map[*] ? (@.key.symbol == "spender").val.address') #>> '{}' AS spender,
  (jsonb_path_query_first(value, '$.map[*] ? (@.key.symbol == "amount").val.i128') #>> '{}')::numeric AS amount,
  (jsonb_path_query_first(value, '$.map[*] ? (@.key.symbol like_regex "^(live_until|expiration)_ledger$").val.u32'))::bigint AS until,
  liveness
FROM contract_data.storage(:'contract_id')
WHERE key #>> '{vec,0,symbol}' = 'Allowance'
ORDER BY amount DESC, holder, spender;
