# LocalStack 4.14.0 on this machine, without containers: how it is installed, started and stopped. Sourced by s3 and aws,
# which say what of it they want:
#
#   packages    what to install, with its extras
#   services    what must be there once it is started
#   settings    further variables for it, NAME=value
#   plugins     a directory for its PYTHONPATH, or nothing
# shellcheck shell=bash disable=SC2154

# shellcheck source=machine.sh
source "$(dirname "${BASH_SOURCE[0]}")/machine.sh"
# shellcheck source=venv.sh
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

release=4.14.0
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
name=$(basename "$0")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/contract-data-loader
settings=()
plugins=

say() { printf '%s: %s\n' "$name" "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# --- the installation

# Three faults of this release. It says that it runs on Python 3.12 and imports a name that came with 3.13: every service
# then answers 500. It keeps objects in one directory in /tmp, which the user who came first owns. And a CopyObject whose
# source is removed meanwhile empties its destination and locks it for ever; S3's own copies whole or not at all.
mend() {
    local site
    site=$("$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))') || return 1
    cat >"$site/sitecustomize.py" <<'PYTHON'
import warnings

if not hasattr(warnings, "deprecated"):
    from typing_extensions import deprecated

    warnings.deprecated = deprecated
PYTHON
    "$1/bin/python" - "$site/localstack/services/s3" <<'PYTHON'
import pathlib
import re
import sys

s3 = pathlib.Path(sys.argv[1])


def replace(file, pattern, text):
    before = (s3 / file).read_text()
    after, times = re.subn(pattern, text, before, flags=re.MULTILINE)
    if times != 1:
        sys.exit(f"{file} is not what it was: {pattern} is there {times} times")
    (s3 / file).write_text(after)


replace("provider.py", r"^DEFAULT_S3_TMP_DIR = .*", "DEFAULT_S3_TMP_DIR = None  # below TMPDIR")
replace(
    "storage/ephemeral.py",
    r"^            dest_stored_object = self\.open\(dest_bucket, dest_object, mode=\"w\"\)\n"
    r"            dest_stored_object\.write\(src_stored_object\)\n",
    "            if src_stored_object.file is not self._get_object_file(src_bucket, self._key_from_s3_object(src_object)):\n"
    "                raise OSError('the source is gone')\n"
    "            data = src_stored_object.read()\n"
    "            if len(data) != src_object.size:\n"
    "                raise OSError('the source is gone')\n"
    "        dest_stored_object = self.open(dest_bucket, dest_object, mode=\"w\")\n"
    "        dest_stored_object.write(BytesIO(data))\n",
)
PYTHON
}

# locked NAME COMMAND…: runs it while no other start of this user runs one of that name.
locked() {
    local lock=$cache/$1.lock
    shift
    mkdir -p "$cache"
    if command -v flock >/dev/null; then
        exec 8>"$lock"
        flock 8
    fi
    "$@"
    exec 8>&-
}

install_localstack() {
    pythons=(3.13 3.12)
    venv=$(finish=mend venv localstack "$here/constraints.txt" "${packages[@]}") ||
        die "LocalStack $release was not installed"
}

# --- the server

# Its process is the leader of a group of its own. Another may have its id by now: it works in $dir/place or is not ours.
running() {
    local pid
    pid=$(cat "$dir/pid" 2>/dev/null) && [[ -n $pid ]] || return 1
    if [[ -d /proc/self ]]; then
        [[ /proc/$pid/cwd -ef $dir/place ]]
    else
        kill -0 "$pid" 2>/dev/null
    fi
}

url() { echo "http://127.0.0.1:$(<"$dir/port")"; }

# The services are loaded, says this release; a service that failed to load is there too, as "error".
healthy() {
    local answer service
    answer=$(
        { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || exit 1
        printf 'GET /_localstack/health HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' >&3
        timeout 2 cat <&3 2>/dev/null
    ) || return 1
    [[ $answer == *"\"version\": \"$release\""* ]] || return 1
    for service in ${services//,/ }; do
        [[ $answer =~ \"$service\":\ \"(available|running)\" ]] || return 1
    done
}

# The variables keep it to itself: no account, no events to its makers, no certificate from outside, no DNS server.
# Without GATEWAY_SERVER it would listen on every address, whatever GATEWAY_LISTEN says.
launch() {
    local port=$1
    (
        cd "$dir/place" || exit 1
        exec env -u PYTHONPATH -u LOCALSTACK_AUTH_TOKEN -u LOCALSTACK_API_KEY \
            LOCALSTACK_VOLUME_DIR="$dir/place/volume" FILESYSTEM_ROOT="$dir/place/files" TMPDIR="$dir/place" \
            ACTIVATE_PRO=0 DISABLE_EVENTS=1 SKIP_SSL_CERT_DOWNLOAD=1 DNS_ADDRESS=0 \
            GATEWAY_LISTEN="127.0.0.1:$port" GATEWAY_SERVER=hypercorn \
            AWS_DEFAULT_REGION=us-east-1 SERVICES="$services" EAGER_SERVICE_LOADING=1 STRICT_SERVICE_LOADING=1 \
            ${plugins:+PYTHONPATH="$plugins"} ${settings[@]+"${settings[@]}"} \
            setsid "$venv/bin/python" -m localstack.runtime.main </dev/null >"$dir/log" 2>&1 8>&- 9>&-
    ) &
    echo $! >"$dir/pid"
}

start() {
    if running && healthy "$(<"$dir/port")"; then
        url
        return
    fi
    stop
    local port
    install_localstack
    if [[ $(type -t install_plugins) == function ]]; then install_plugins; fi
    for _ in {1..5}; do
        rm -rf "$dir/place"
        mkdir -p "$dir/place"
        port=$(free_port)
        launch "$port"
        echo "$port" >"$dir/port"
        for _ in {1..600}; do
            if healthy "$port"; then
                # Healthy, but is it this one? It works in the directory that was just made, and so has the port.
                if running; then
                    url
                    return
                fi
                break
            fi
            # A process that has ended before it was healthy is done; one that has not begun yet is waited for.
            if ! kill -0 "$(<"$dir/pid")" 2>/dev/null; then break; fi
            sleep 0.1
        done
        stop
        if ! grep -qi 'address already in use' "$dir/log"; then break; fi
    done
    tail -n 10 "$dir/log" >&2
    die "LocalStack did not start: $dir/log"
}

# Functions of the process executor are groups of their own: LocalStack ends them as it ends, or they are ended here.
stop() {
    local pid signal process
    if running; then
        pid=$(<"$dir/pid")
        for signal in TERM KILL; do
            kill -"$signal" -- "-$pid" 2>/dev/null || true
            for _ in {1..50}; do
                if ! running; then break 2; fi
                sleep 0.1
            done
        done
        kill -KILL -- "-$pid" 2>/dev/null || true # whatever it started and left
    fi
    if [[ -d /proc/self ]]; then
        for process in /proc/[0-9]*; do
            if [[ $(readlink "$process/cwd") == "$dir/place"/* ]]; then kill -KILL "${process#/proc/}" 2>/dev/null || true; fi
        done
    fi
    rm -f "$dir/pid"
    rm -rf "$dir/place"
}

# serve VERB DIR: start, stop and url, one at a time for a directory.
serve() {
    if [[ $1 == start ]]; then
        mkdir -p "$2"
    elif [[ ! -d $2 ]]; then
        if [[ $1 == stop ]]; then return; fi
        die "nothing runs in $2"
    fi
    dir=$(cd "$2" && pwd -P)
    if command -v flock >/dev/null; then
        exec 9>"$dir/lock"
        flock 9
    fi
    case $1 in
    start) start ;;
    stop) stop ;;
    url)
        running || die "nothing runs in $dir"
        url
        ;;
    esac
}
