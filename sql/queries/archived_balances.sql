-- The archived balances of a token: their time is over, and they still have their owner: -v contract_id=C…. Index:
-- key_states_token_holders.
SELECT holder, amount, units, ledger_sequence
FROM contract_data.token_balances
WHERE contract_id = :'contract_id' AND liveness = 'archived'
ORDER BY amount DESC
LIMIT 100;
