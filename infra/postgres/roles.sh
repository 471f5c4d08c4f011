#!/usr/bin/env bash
# Creates the database and the three roles with the passwords in infra/.env, as the administrator of PGHOST, PGUSER and
# PGPASSWORD. It may run again at any time: what is there already stays, and the passwords are set anew.
set -euo pipefail

export PGOPTIONS=--client-min-messages=warning # not that something is there already
psql=(psql --no-psqlrc --quiet --set ON_ERROR_STOP=1)
"${psql[@]}" --dbname postgres --set name="$DB_NAME" <<'SQL'
select format('create database %I', :'name') where not exists (select from pg_database where datname = :'name') \gexec
SQL
psql+=(--dbname "$DB_NAME")
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
