-- The rich list as a function, with rank and contract: -v asset_code=USDC -v asset_issuer=G…. Index: key_states_rich_list.
SELECT * FROM contract_data.get_top_holders(:'asset_code', :'asset_issuer', 100);
