#!/bin/bash
# What cannot be undone is parked with an alarm, and resolved by a person: a cancelled delivery
# whose hold the Account service refuses to give back. Also `status`, and what the commands say
# when they cannot.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tools/drone.sh
trap drone_clean EXIT
TERN=$B/bin/tern
fail() { drone_fail "$*"; }
why() { cat "$DRONE_DIR/err"; }

call() { # service, method, JSON
    "$TERN" call "unix:$DRONE_DIR/$1.sock" "drone.$1.v1.${1^}Service/$2" -d "$3" \
        --proto "drone/$1/v1/$1.proto" -I proto
}
status() { "$DRONE" status --dir "$DRONE_DIR" "$@"; }
state_of() { status "$1" | sed -n 's/^state  *//p'; }
await_state() { # delivery, state
    local i
    for ((i = 0; i < 200; i++)); do
        [ "$(state_of "$1")" = "$2" ] && return
        sleep 0.05
    done
    fail "$1 is $(state_of "$1"), not $2"
}

drone_up --accounts 2 --suspend-every 0
"$DRONE" submit --dir "$DRONE_DIR" --generate 2 --seed 4 --accounts 2 --run trip >/dev/null ||
    fail "submit failed"
[ "$(state_of trip-1)" = scheduled ] || fail "trip-1 is $(state_of trip-1)"
status nobody 2>"$DRONE_DIR/err" && fail "an unknown delivery has a status"
grep -q 'NOT_FOUND: no delivery nobody was accepted' "$DRONE_DIR/err" || fail "$(why)"
drone_down || fail "up ended with status $?"

# The same system, but the Account service refuses everything for good.
drone_up --part-options "account:--fault-before=100,account:--fault-code=PERMISSION_DENIED"
call scheduler CancelDelivery '{"deliveryId":"trip-1","idempotencyKey":"cancel-1"}' || fail "cancel"
await_state trip-1 parked
grep -q 'ALARM: compensation trip-1/1 .*account: PERMISSION_DENIED' "$DRONE_DIR/up.log" ||
    fail "no alarm"
status --parked | grep -q '^trip-1/1  delivery trip-1  parked' || fail "not listed as parked"
status --parked | grep -q '^1 parked$' || fail "more than one is parked"
"$DRONE" check --dir "$DRONE_DIR" --live >/dev/null || fail "check finds fault with it"
status --resolve trip-1/1 --how retry >/dev/null || fail "resolve"
await_state trip-1 parked
call scheduler CancelDelivery '{"deliveryId":"trip-1","idempotencyKey":"cancel-2"}' \
    2>"$DRONE_DIR/err" && fail "a parked delivery can be cancelled"
grep -q 'parked already' "$DRONE_DIR/err" || fail "$(why)"
drone_down || fail "up ended with status $?"
"$DRONE" check --dir "$DRONE_DIR" >"$DRONE_DIR/check" || fail "$(cat "$DRONE_DIR/check")"

# Mended: the retry succeeds, and the Scheduler learns of it.
drone_up
[ "$(state_of trip-1)" = parked ] || fail "a restart forgets what is parked"
status --resolve trip-1/1 --how retry --note "account service mended" >/dev/null || fail "resolve"
await_state trip-1 cancelled
status --parked | grep -q '^0 parked$' || fail "something is still parked"
status --resolve trip-1/1 --how done 2>/dev/null || fail "resolving what is resolved is no repeat"
status --resolve trip-9/1 --how done 2>/dev/null && fail "an unknown message was resolved"
status --resolve trip-1/1 2>/dev/null && fail "--resolve without --how"

# A cancel that overtakes its delivery is carried out.
call scheduler CancelDelivery '{"deliveryId":"early-1","idempotencyKey":"c-early"}' >/dev/null ||
    fail "a cancel of what is not there yet"
"$DRONE" submit --dir "$DRONE_DIR" --generate 1 --seed 4 --accounts 2 --run early --json |
    grep -q '"cancelled":1' || fail "a cancel that came first was not carried out"
# The parts of another folder's system have their own locks; in this one they are taken.
"$DRONE" account --dir "$DRONE_DIR" >"$DRONE_DIR/err" 2>&1 && fail "two processes have one store"
[ "$(wc -l <"$DRONE_DIR/err")" = 1 ] || fail "not one clear line: $(cat "$DRONE_DIR/err")"
drone_down || fail "up ended with status $?"
"$DRONE" check --dir "$DRONE_DIR" >"$DRONE_DIR/check" || fail "$(cat "$DRONE_DIR/check")"

# What cannot be started says so in one line.
"$DRONE" up --dir /proc/nowhere 2>"$DRONE_DIR/err" && fail "up in a folder that cannot be"
grep -q '/proc/nowhere cannot be made' "$DRONE_DIR/err" || fail "$(why)"
"$DRONE" submit --dir "$DRONE_DIR" "$DRONE_DIR/none.csv" 2>"$DRONE_DIR/err" && fail "a missing file"
grep -q 'none.csv: cannot be opened: No such file' "$DRONE_DIR/err" || fail "$(why)"
"$DRONE" submit --dir "$DRONE_DIR" --generate 1 --patience-s 1 2>"$DRONE_DIR/err" >/dev/null &&
    fail "submit without a system succeeds"
grep -q 'the Scheduler does not answer: .*start the system with "dronedelivery up' "$DRONE_DIR/err" ||
    fail "$(why)"
exit 0
