#!/usr/bin/env bash
# The PostgreSQL image runs this once, in the new database. It creates the three roles with the passwords in infra/.env.
set -euo pipefail

psql=(psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB")
"${psql[@]}" --file /sql/bootstrap/roles.sql >/dev/null
# \getenv, because an argument would show in the process list.
"${psql[@]}" <<'SQL'
\getenv owner OWNER_PASSWORD
\getenv loader LOADER_PASSWORD
\getenv reader READER_PASSWORD
alter role contract_data_owner password :'owner';
alter role contract_data_loader password :'loader';
alter role contract_data_reader password :'reader';
SQL
