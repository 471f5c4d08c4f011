# For scripts that need tools written in Python: installs them once, pinned, into the user's cache. Sourced, not run.
# shellcheck shell=bash

# venv NAME PINS [PACKAGE…]: prints the folder of a venv with these packages, in the versions of the file PINS; without
# packages, with all of PINS. The folder's name includes a hash of the packages and pins: other pins give another installation.
#
# finish: the name of a function that completes the installation; its argument is the folder.
pythons=(3.13 3.12 3.11) # the supported versions, the best first
venv() {
    local name=$1 pins=$2 cache=${XDG_CACHE_HOME:-$HOME/.cache}/contract-data-loader folder python what
    shift 2
    if (($#)); then what=(-c "$pins" "$@"); else what=(-r "$pins"); fi
    folder=$cache/$name-venv-$( (echo "$@" && cat "$pins" && if [[ -n ${finish-} ]]; then declare -f "$finish"; fi) | cksum | cut -d ' ' -f 1)
    mkdir -p "$cache"
    (
        if command -v flock >/dev/null; then
            exec 8>"$cache/$name-venv.lock"
            flock 8 # another script may be installing
        fi
        if [[ -f $folder/complete ]]; then exit; fi
        python=$(find_python "${pythons[@]}") || {
            echo "no Python ${pythons[*]} with venv here: install python3 and python3-venv" >&2
            exit 1
        }
        echo "installing $name into $folder" >&2
        rm -rf "$folder"
        "$python" -m venv "$folder" >&2 &&
            "$folder/bin/pip" install --quiet --disable-pip-version-check --no-input "${what[@]}" >&2 &&
            ${finish:+"$finish" "$folder"} && touch "$folder/complete"
    ) || return 1
    echo "$folder"
}

# find_python VERSION…: prints the first that is installed; fails if none is.
find_python() {
    local version candidate
    for version in "$@"; do
        for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version"*/bin/python python3; do
            # A name on the PATH may be a shim that has nothing behind it, and a Python may come without venv.
            if "$candidate" -c "import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, ${version#3.}))" 2>/dev/null; then
                echo "$candidate"
                return
            fi
        done
    done
    return 1
}
