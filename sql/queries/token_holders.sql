-- Who holds most of a token, of whatever kind: -v contract_id=C…. Index: key_states_token_holders.
SELECT * FROM contract_data.get_token_holders(:'contract_id', 100);
