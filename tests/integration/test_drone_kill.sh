#!/bin/bash
# kill -9 of any part, ten times, while deliveries run: nothing is lost. Every delivery that was
# sent has a final state in the end, and `check` finds the stores in order. Which part dies is
# drawn from SEED, which is printed; the Scheduler and the Supervisor are each drawn at least once.
# serial: it takes both cores.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tools/drone.sh
SUBMIT=
clean() {
    # When the test fails half-way, somebody is still submitting.
    [ -n "$SUBMIT" ] && kill "$SUBMIT" 2>/dev/null
    [ -e "$DRONE_DIR/submit.pid" ] && kill "$(cat "$DRONE_DIR/submit.pid")" 2>/dev/null
    drone_clean
}
trap clean EXIT
SEED=${SEED:-$(($(date +%N | sed 's/^0*//') % 32768))}
RANDOM=$SEED
KILLS=10
PARTS=(account package drone transport delivery scheduler supervisor)
echo "SEED=$SEED"

faults=package:--fault-after=2,delivery:--fault-before=2,drone:--fault-after=2
faults=$faults,transport:--fault-after=2
drone_up --accounts 200 --suspend-every 20 --part-options "$faults"

# Deliveries without end, until told to stop; each round must end every delivery it sent.
submit_rounds() {
    local round=0
    while [ ! -e "$DRONE_DIR/enough" ]; do
        round=$((round + 1))
        "$DRONE" submit --dir "$DRONE_DIR" --generate 500 --seed "$((SEED * 100 + round))" --json \
            --cancel-percent 6 --update-percent 6 &
        echo $! >"$DRONE_DIR/submit.pid"
        wait $! || {
            echo "round $round: submit exited with status $?"
            touch "$DRONE_DIR/submit-failed"
            return
        }
    done
    touch "$DRONE_DIR/submit-ended"
}
submit_rounds >"$DRONE_DIR/rounds" 2>&1 &
SUBMIT=$!

killed=0
while [ "$killed" -lt "$KILLS" ]; do
    case $killed in
    2) part=scheduler ;;
    5) part=supervisor ;;
    *) part=${PARTS[RANDOM % ${#PARTS[@]}]} ;;
    esac
    sleep "0.$((RANDOM % 7 + 2))"
    pid=$(drone_pid "$part")
    [ -n "$pid" ] || continue # it is being started again just now
    kill -KILL "$pid" || continue
    killed=$((killed + 1))
    echo "killed $part ($pid)"
done
noticed() { [ "$(grep -c 'killed by signal 9' "$DRONE_DIR/up.log")" -ge "$KILLS" ]; }
for ((i = 0; i < 100; i++)); do noticed && break || sleep 0.05; done
noticed || drone_fail "not every kill was noticed"

# An orderly restart under load: nobody has to be killed for it, and the clients go on afterwards.
drone_down || drone_fail "up ended with status $?"
drone_up
sleep 0.5
touch "$DRONE_DIR/enough"
wait "$SUBMIT"
SUBMIT=
rm -f "$DRONE_DIR/submit.pid"
cat "$DRONE_DIR/rounds"
[ -e "$DRONE_DIR/submit-ended" ] || drone_fail "some delivery has no final state"

# The keeper itself: nothing of it is left behind, and the next one goes on where it stopped.
pids=()
for part in "${PARTS[@]}"; do pids+=("$(drone_pid "$part")"); done
kill -KILL "$(drone_pid up)"
wait "$(drone_pid up)" 2>/dev/null
for pid in "${pids[@]}"; do
    for ((i = 0; i < 100; i++)); do
        [ -z "$pid" ] || ! grep -q dronedelivery "/proc/$pid/cmdline" 2>/dev/null && continue 2
        sleep 0.05
    done
    drone_fail "process $pid outlives its keeper"
done
drone_up
drone_down || drone_fail "up ended with status $?"
"$DRONE" check --dir "$DRONE_DIR" || drone_fail "the stores are not in order"
sent=$(grep -c . "$DRONE_DIR/rounds")
[ "$sent" -gt 0 ] || drone_fail "nothing was sent"
exit 0
