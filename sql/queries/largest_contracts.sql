-- The contracts that keep most, by bytes of keys and values now. Index: none, it reads the current state of everything.
SELECT contract_id, count(*) AS entries, sum(length(key_xdr) + length(val_xdr)) / 4 * 3 AS bytes
FROM contract_data.current_states
GROUP BY contract_id
ORDER BY bytes DESC
LIMIT 100;
