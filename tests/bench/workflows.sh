#!/bin/bash
# Whole five-service workflows per second, every durable write on:   tests/bench/workflows.sh BUILD
#
# The seven processes and the submitting client share this machine (WORKFLOW_CPUS, default 0,1,
# pins all of them). Made-up deliveries, no faults, every client waits for the end of its delivery.
# Prints one line of JSON: {"workflows_per_s":…,"p50_ms":…,"p99_ms":…}, the median of three rounds
# by rate.
set -u
B=${1:?usage: tests/bench/workflows.sh BUILD}
cd "$(dirname "$0")/../.." || exit 1
. tools/drone.sh
trap drone_clean EXIT
N=${N:-20000}
IN_FLIGHT=${IN_FLIGHT:-64}
ROUNDS=${ROUNDS:-3}
taskset -cp "${WORKFLOW_CPUS:-0,1}" $$ >/dev/null 2>&1 ||
    echo "workflows.sh: cannot pin to CPUs ${WORKFLOW_CPUS:-0,1}; measuring unpinned" >&2

drone_up --accounts 1000 --suspend-every 0 --drones 4000
"$DRONE" submit --dir "$DRONE_DIR" --generate 1000 --seed 99 --accounts 1000 --json >/dev/null ||
    drone_fail "warming up failed"
for ((i = 1; i <= ROUNDS; i++)); do
    "$DRONE" submit --dir "$DRONE_DIR" --generate "$N" --seed "$i" --accounts 1000 \
        --in-flight "$IN_FLIGHT" --json >>"$DRONE_DIR/rounds" || drone_fail "round $i failed"
done
drone_down || drone_fail "up ended with status $?"
"$DRONE" check --dir "$DRONE_DIR" >"$DRONE_DIR/check" || {
    cat "$DRONE_DIR/check" >&2
    drone_fail "the stores are not in order: the measurement does not count"
}
sed 's/.*\("workflows_per_s":\([0-9.]*\),"p50_ms":[0-9.]*,"p99_ms":[0-9.]*\)}$/\2 {\1}/' \
    "$DRONE_DIR/rounds" | sort -n | sed -n "$(((ROUNDS + 1) / 2))s/^[0-9.]* //p"
