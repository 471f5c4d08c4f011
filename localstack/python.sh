# For the scripts that want a Python with venv. Sourced, not run.
# shellcheck shell=bash

# find_python VERSION…: prints the first that is here, as in find_python 3.13 3.12; nothing, and false, where none is.
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
