-- The contract of an asset is a hash of network and asset: the id of the network proves what an instance entry claims.
alter table contract_data.settings add column network_id bytea;
comment on column contract_data.settings.network_id is
  'SHA-256 of the network''s passphrase, written by migrate. An asset is learnt only if its contract''s id is the hash of both.';
