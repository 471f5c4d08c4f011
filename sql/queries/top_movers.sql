-- The balances of a token that moved most in the last 24 hours: -v contract_id=C…. Index: entries_contract_ledger.
SELECT holder, count(*) AS changes, max(amount) FILTER (WHERE last) - max(amount) FILTER (WHERE first) AS moved
FROM (
  SELECT
    coalesce(token_holder, balance_holder) AS holder,
    CASE WHEN deleted THEN 0 ELSE coalesce(token_amount, balance) END AS amount,
    row_number() OVER (PARTITION BY ledger_key_hash ORDER BY ledger_sequence, change_index) = 1 AS first,
    row_number() OVER (PARTITION BY ledger_key_hash ORDER BY ledger_sequence DESC, change_index DESC) = 1 AS last
  FROM contract_data.entries
  WHERE contract_id = :'contract_id' AND closed_at > NOW() - INTERVAL '24 hours'
    AND coalesce(token_holder, balance_holder) IS NOT NULL
) AS changes
GROUP BY holder
ORDER BY abs(max(amount) FILTER (WHERE last) - max(amount) FILTER (WHERE first)) DESC, holder
LIMIT 100;
