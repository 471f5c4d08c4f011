# For scripts that install or start something on this machine. Sourced, not run; the script has a function die.
# shellcheck shell=bash

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A free port. It is below the kernel's ephemeral ports, so that a stopped server gets its port back.
free_port() {
    local port
    for _ in {1..100}; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        if ! listens "$port"; then
            echo "$port"
            return
        fi
    done
    die "no free port between 20000 and 32000"
}

# need PROGRAM PACKAGE…: installs the packages by apt where the program is missing.
need() {
    if command -v "$1" >/dev/null; then return; fi
    may_install || die "$1 is missing: install ${*:2}"
    echo "installing ${*:2} with apt" >&2
    local log
    log=$(mktemp)
    apt_install "${@:2}" 2>"$log" || { tail -n 5 "$log" >&2; die "apt did not install ${*:2}"; }
    rm -f "$log"
}

may_install() { [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; }

# apt_install PACKAGE…: installs them; what apt says goes to stderr.
apt_install() {
    # A package may start a server of its own. policy-rc.d is how a machine says that it does not want that.
    local policy=/usr/sbin/policy-rc.d made="" outcome=0
    if [[ ! -e $policy ]]; then
        made=$policy
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends --no-upgrade "$@"; } >&2 ||
        outcome=$?
    if [[ -n $made ]]; then rm -f "$made"; fi
    return "$outcome"
}
