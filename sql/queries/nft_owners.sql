-- Who owns how many things of a collection: -v contract_id=C…. Index: key_states_contract.
SELECT value ->> 'address' AS owner, count(*) AS things, array_agg((key #>> '{vec,1,u32}')::bigint ORDER BY (key #>> '{vec,1,u32}')::bigint) AS ids
FROM contract_data.storage(:'contract_id')
WHERE key #>> '{vec,0,symbol}' = 'Owner'
GROUP BY owner
ORDER BY things DESC, owner
LIMIT 100;
