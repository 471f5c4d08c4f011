-- The instances of contracts, where tokens say what they are called. Its columns never change, so it costs an update nothing.
-- Not concurrently: a migration is one transaction. Loads wait for it, readers do not.
-- squawk-ignore require-concurrent-index-creation
create index key_states_instances on contract_data.key_states (contract_id)
  where contract_key_type = 'ScValTypeScvLedgerKeyContractInstance' and not deleted;
