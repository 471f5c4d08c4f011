#!/usr/bin/env bash
# The PostgreSQL image runs this at the end of its first start: see start.sh.
set -euo pipefail
rm -f /var/lib/postgresql/initialising
