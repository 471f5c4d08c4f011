-- How much of a token accounts (G…) hold, and how much contracts (C…): -v contract_id=C…. Index: key_states_token_holders.
SELECT left(holder, 1) AS kind, count(*) AS holders, sum(amount) AS amount, sum(units) AS units
FROM contract_data.token_balances
WHERE contract_id = :'contract_id' AND amount > 0
GROUP BY kind
ORDER BY amount DESC;
