-- The contracts with most changes in the last 24 hours. Index: entries_closed_at (BRIN).
SELECT contract_id, COUNT(*) AS changes, MIN(closed_at) AS first_seen, MAX(closed_at) AS last_seen
FROM contract_data.entries
WHERE closed_at > NOW() - INTERVAL '24 hours'
GROUP BY contract_id
HAVING COUNT(*) > 10
ORDER BY changes DESC;
