-- The windows loaded last, including failed ones. Index: ingestion_progress_completed_at.
SELECT * FROM contract_data.ingestion_progress ORDER BY completed_at DESC LIMIT 10;
