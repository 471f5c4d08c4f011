-- The reserves of a pool through time, newest first, where its instance has them as ReserveA and ReserveB: -v contract_id=C…. Index:
-- entries_contract_ledger.
SELECT ledger_sequence, closed_at, reserve_a, reserve_b, round(reserve_b / nullif(reserve_a, 0), 7) AS price
FROM (
  SELECT
    e.ledger_sequence, e.change_index, e.closed_at,
    (jsonb_path_query_first(instance, '$.contract_instance.storage[*] ? (@.key.vec[0].symbol == "ReserveA").val.i128') #>> '{}')::numeric
      AS reserve_a,
    (jsonb_path_query_first(instance, '$.contract_instance.storage[*] ? (@.key.vec[0].symbol == "ReserveB").val.i128') #>> '{}')::numeric
      AS reserve_b
  FROM contract_data.entries e, contract_data.scval(e.val_xdr) AS instance
  WHERE e.contract_id = :'contract_id' AND e.contract_key_type = 'ScValTypeScvLedgerKeyContractInstance' AND NOT e.deleted
) AS reserves
ORDER BY ledger_sequence DESC, change_index DESC
LIMIT 100;
