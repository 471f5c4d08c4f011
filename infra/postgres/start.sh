#!/usr/bin/env bash
# Starts PostgreSQL as its image does, but for a first start that was cut short: that leaves part of a cluster, which the
# image would take for all of it. A first start makes a note beside the cluster, and initialised.sh removes it at the end; a
# start that finds the note begins anew.
set -euo pipefail
note=/var/lib/postgresql/initialising

if [[ -e $note ]]; then rm -rf "${PGDATA:?}"; fi
if [[ ! -s $PGDATA/PG_VERSION ]]; then touch "$note"; fi
exec docker-entrypoint.sh "$@"
