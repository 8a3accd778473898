# Running Drone Delivery from shell scripts: to be sourced, with B set to the build folder.
#
#   drone_up [OPTION...]   starts `dronedelivery up` in $DRONE_DIR (a new temporary folder) and
#                          waits until everything is ready; its output goes to $DRONE_DIR/up.log
#   drone_pid PART         the process of a part, or of "up" itself; nothing when it does not run
#   drone_down             ends it in order and returns its exit status
#   drone_clean            ends it whatever it does, and removes the folder: `trap drone_clean EXIT`
#
# Only processes started here are ever ended, by their ids.

DRONE=$B/bin/dronedelivery
DRONE_DIR=
DRONE_UP=
DRONE_READY_S=${DRONE_READY_S:-30}

drone_fail() {
    echo "$(basename "$0"): $*" >&2
    if [ -n "$DRONE_DIR" ] && [ -f "$DRONE_DIR/up.log" ]; then
        tail -n 30 "$DRONE_DIR/up.log" | sed 's/^/    | /' >&2
    fi
    exit 1
}

# Reports of sanitizers, which a part that is killed later takes no exit status with.
drone_reports() {
    local reports='ERROR: AddressSanitizer|LeakSanitizer|WARNING: ThreadSanitizer|runtime error:'
    if grep -E "$reports" "$DRONE_DIR/up.log" >&2; then
        drone_fail "a sanitizer complains: see above"
    fi
}

drone_up() {
    local i
    [ -z "$DRONE_DIR" ] || [ ! -e "$DRONE_DIR/up.log" ] || drone_reports
    [ -x "$DRONE" ] || drone_fail "$DRONE is missing: run \"make\" first"
    if [ -z "$DRONE_DIR" ]; then
        DRONE_DIR=$(mktemp -d /tmp/drone-XXXXXX) || exit 1
    fi
    : >"$DRONE_DIR/up.log"
    "$DRONE" up --dir "$DRONE_DIR" "$@" >"$DRONE_DIR/up.log" 2>&1 </dev/null &
    DRONE_UP=$!
    for ((i = 0; i < DRONE_READY_S * 20; i++)); do
        grep -q '^up: everything is ready' "$DRONE_DIR/up.log" && return 0
        kill -0 "$DRONE_UP" 2>/dev/null || drone_fail "the system ended before it was ready"
        sleep 0.05
    done
    drone_fail "the system is not ready after $DRONE_READY_S s"
}

drone_pid() {
    if [ "$1" = up ]; then
        echo "$DRONE_UP"
        return
    fi
    # The last start counts; a part that died since has no /proc entry under this parent any more.
    local pid parent
    pid=$(sed -n "s/^up: $1: started.*, process \([0-9]*\)$/\1/p" "$DRONE_DIR/up.log" | tail -n 1)
    [ -n "$pid" ] || return
    parent=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null)
    [ "$parent" = "$DRONE_UP" ] && echo "$pid"
}

drone_down() {
    local rc
    [ -n "$DRONE_UP" ] || return 0
    kill -TERM "$DRONE_UP" 2>/dev/null
    wait "$DRONE_UP"
    rc=$?
    DRONE_UP=
    drone_reports
    return "$rc"
}

drone_clean() {
    if [ -n "$DRONE_UP" ]; then
        # Its parts get SIGKILL from the kernel when it is gone.
        kill -KILL "$DRONE_UP" 2>/dev/null
        wait "$DRONE_UP" 2>/dev/null
        DRONE_UP=
    fi
    case $DRONE_DIR in /tmp/drone-*) rm -rf "$DRONE_DIR" ;; esac
}
