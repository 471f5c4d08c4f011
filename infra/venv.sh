# For scripts that need a tool written in Python: installs it once, pinned, into the user's cache. Sourced, not run.
# shellcheck shell=bash

# shellcheck source=../localstack/python.sh
source "$(dirname "${BASH_SOURCE[0]}")/../localstack/python.sh"

# venv NAME PACKAGE==VERSION…: prints the folder of a venv with these packages; infra/constraints.txt pins their dependencies.
# The folder's name includes a hash of the packages and pins: other pins give another installation.
venv() {
    local name=$1 constraints cache folder python
    shift
    constraints=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)/constraints.txt
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/contract-data-loader
    folder=$cache/$name-venv-$( (echo "$@" && cat "$constraints") | cksum | cut -d ' ' -f 1)
    if [[ ! -f $folder/complete ]]; then
        mkdir -p "$cache"
        (
            if command -v flock >/dev/null; then
                exec 8>"$cache/$name-venv.lock"
                flock 8 # another script may be installing it
            fi
            if [[ -f $folder/complete ]]; then exit; fi
            python=$(find_python 3.13 3.12 3.11) || {
                echo "no Python 3.11 to 3.13 with venv here: install python3 and python3-venv" >&2
                exit 1
            }
            echo "installing $* into $folder" >&2
            rm -rf "$folder"
            "$python" -m venv "$folder" >&2 &&
                "$folder/bin/pip" install --quiet --disable-pip-version-check --no-input -c "$constraints" "$@" >&2 &&
                touch "$folder/complete"
        ) || return 1
    fi
    echo "$folder"
}
