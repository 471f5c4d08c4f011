-- Changes per hour over the last 7 days, newest hour first. Index: entries_closed_at (BRIN).
SELECT date_trunc('hour', closed_at) AS hour, COUNT(*) AS changes, COUNT(DISTINCT contract_id) AS contracts,
  COUNT(*) FILTER (WHERE deleted) AS deletions
FROM contract_data.entries
WHERE closed_at > NOW() - INTERVAL '7 days'
GROUP BY hour
ORDER BY hour DESC;
