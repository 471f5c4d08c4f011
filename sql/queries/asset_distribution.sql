-- Holders, total and average of each issued asset; the view asset_summary also has native. Index: key_states_rich_list.
SELECT asset_code, asset_issuer, COUNT(*) FILTER (WHERE balance > 0) AS holders,
  SUM(balance) / 10000000.0 AS total, ROUND(AVG(balance) FILTER (WHERE balance > 0) / 10000000.0, 7) AS average
FROM contract_data.current_states
WHERE asset_code IS NOT NULL
GROUP BY asset_code, asset_issuer
ORDER BY holders DESC;
