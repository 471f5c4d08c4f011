-- The contracts that hold most of an asset: -v asset_code=USDC -v asset_issuer=G…. Index: key_states_rich_list.
SELECT balance_holder, balance / 10000000.0 AS amount, last_modified_ledger
FROM contract_data.current_states
WHERE asset_code = :'asset_code' AND asset_issuer = :'asset_issuer'
ORDER BY balance DESC
LIMIT 100;
