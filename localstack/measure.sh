# For the scripts that measure: a database for each run, and medians. Sourced, not run.
# shellcheck shell=bash

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

value() { "$psql" "$1" -XAtq -v ON_ERROR_STOP=1 -c "$2"; }
now_ms() { date +%s%3N; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# A database of this name with the schema, its URL in $DATABASE_URL.
fresh_database() {
    value "$postgres_url" "create database $1" >/dev/null
    export DATABASE_URL=${postgres_url%/*}/$1 STAGING_URL=file://$work/staging-$1
    ingestctl migrate >/dev/null
    value "$DATABASE_URL" checkpoint >/dev/null
}
drop_database() {
    value "$postgres_url" "drop database $1 with (force)" >/dev/null
    rm -rf "$work/staging-$1"
}
