-- What changes did, per hour over 7 days; a source may not say it. Index: entries_closed_at.
SELECT
  date_trunc('hour', closed_at, 'UTC') AS hour,
  count(*) FILTER (WHERE ledger_entry_change = 0) AS created,
  count(*) FILTER (WHERE ledger_entry_change = 1) AS updated,
  count(*) FILTER (WHERE ledger_entry_change = 2) AS removed,
  count(*) FILTER (WHERE ledger_entry_change = 4) AS restored,
  count(*) FILTER (WHERE ledger_entry_change IS NULL) AS unknown
FROM contract_data.entries
WHERE closed_at > NOW() - INTERVAL '7 days'
GROUP BY hour
ORDER BY hour DESC;
