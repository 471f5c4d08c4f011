# For the scripts of this repository: a temporary directory with services that end with the script. Sourced, not run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
target_dir=${CARGO_TARGET_DIR:-$root/target} # where cargo builds

script=$(basename "$0")
work=      # the temporary directory
children=() # processes that end with the script

die() {
    printf '%s: %s\n' "$script" "$*" >&2
    exit 1
}

heading() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }

# Makes the temporary directory, and sees to it that nothing stays whichever way the script ends.
begin() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/contract-data-loader-$script-XXXXXX")
    work=$(cd "$work" && pwd -P)
    chmod 755 "$work" # the server may be another user's
    trap end EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 141' PIPE
    trap 'exit 143' TERM
}

# Replaced by scripts that leave something.
end() { remove_everything; }

remove_everything() {
    trap '' HUP INT PIPE TERM # once begun, it is done
    if ((${#children[@]})); then
        kill "${children[@]}" 2>/dev/null || true
        wait "${children[@]}" 2>/dev/null || true
    fi
    if [[ -d $work ]]; then remove_services "$work"; fi
}

remove_services() {
    "$root/localstack/postgres" remove "$1/postgres" || true
    "$root/localstack/s3" stop "$1/s3" || true
    "$root/localstack/aws" stop "$1/aws" || true
    rm -rf "$1"
}

# built PROFILE PACKAGE…: builds the programs and copies them to $work/bin, where no other build replaces them. Quiet
# unless there is much to do. With PROGRAMS=DIR it takes them from there.
built() {
    if [[ -n ${PROGRAMS:-} ]]; then
        PATH=$PROGRAMS:$PATH
        return
    fi
    local profile=$1 folder=$1 quiet=--quiet package programs=()
    shift
    if [[ $profile == dev ]]; then folder=debug; fi
    mkdir -p "$work/bin"
    for package in "$@"; do
        programs+=(--bin "$package")
        if [[ ! -x $target_dir/$folder/$package ]]; then quiet=; fi
    done
    command -v cargo >/dev/null || die "cargo is missing: install Rust, https://rustup.rs"
    # Of the whole workspace: what the dependencies are built with depends on who asks, and so it is as in `make test`.
    (cd "$root" && cargo build ${quiet:+"$quiet"} --locked --workspace --profile "$profile" "${programs[@]}") ||
        die "the programs do not build"
    for package in "$@"; do cp "$target_dir/$folder/$package" "$work/bin/"; done
    PATH=$work/bin:$PATH
}

# A PostgreSQL of the script's own, its URL in $postgres_url.
# shellcheck disable=SC2034 # for the script
start_postgres() {
    postgres_url=$("$root/localstack/postgres" start "$work/postgres") || die "there is no PostgreSQL to work with"
}

# start_source NAME ARGUMENT…: a flight-source on a free port, its address in $source_address, its log in $work/NAME.log.
start_source() {
    local name=$1 pid
    shift
    : >"$work/$name.out"
    flight-source --listen 127.0.0.1:0 "$@" >"$work/$name.out" 2>"$work/$name.log" </dev/null &
    pid=$!
    children+=("$pid")
    source_address=
    for _ in {1..600}; do
        source_address=$(sed -n 's/^listening on //p' "$work/$name.out")
        if [[ -n $source_address ]]; then return; fi
        if ! kill -0 "$pid" 2>/dev/null; then break; fi
        sleep 0.1
    done
    tail -n 5 "$work/$name.log" >&2
    die "flight-source did not start"
}

# The first number under a name in the JSON on stdin.
number_of() { grep -o "\"$1\":[0-9]*" | sed -n '1s/.*://p'; }

# A psql, from the PATH or from beside the server's programs, in $psql; empty where there is none.
find_psql() {
    psql=$(command -v psql || true)
    if [[ -z $psql && -s $work/postgres/bin && -x $(<"$work/postgres/bin")/psql ]]; then psql=$(<"$work/postgres/bin")/psql; fi
}

# The same, for scripts that cannot do without.
need_psql() {
    find_psql
    [[ -n $psql ]] || die "psql is missing: install the package postgresql-client"
}
