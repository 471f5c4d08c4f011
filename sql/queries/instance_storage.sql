-- What a contract keeps in its instance: -v contract_id=C…. Index: key_states_instances.
SELECT field -> 'key' AS key, field -> 'val' AS value, s.liveness, s.ledger_sequence
FROM contract_data.current_states s,
  jsonb_path_query(contract_data.scval(s.val_xdr), '$.contract_instance.storage[*]') AS field
WHERE s.contract_id = :'contract_id' AND s.contract_key_type = 'ScValTypeScvLedgerKeyContractInstance';
