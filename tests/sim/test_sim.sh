#!/bin/bash
# Every scenario of the simulation with one seed: all limits hold, a second run prints and writes the
# same bytes, another seed does not, and a limit that is broken is told by the exit status.
set -eu
sim=$B/sim/tern-sim
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/a" "$tmp/b"

"$sim" --seed 1 --csv "$tmp/a" | tee "$tmp/a/table"
"$sim" --seed 1 --csv "$tmp/b" >"$tmp/b/table"
diff -r "$tmp/a" "$tmp/b" || { echo "the same seed gave something else the second time"; exit 1; }
ls "$tmp"/a/*.csv >/dev/null

"$sim" --seed 2 --only one-dead >"$tmp/other"
"$sim" --seed 1 --only one-dead >"$tmp/one"
if cmp -s <(tail -n +2 "$tmp/one") <(tail -n +2 "$tmp/other"); then
    echo "seed 1 and seed 2 gave the same"
    exit 1
fi

# A world that is worse than its limits permit.
rc=0
"$sim" --only one-dead --load 20 >"$tmp/broken" || rc=$?
[ "$rc" = 1 ] && grep -q BROKEN "$tmp/broken" || { echo "exit status $rc for a broken limit"; exit 1; }

for bad in "--seed x" "--seeds 0" "--only nothing" "--csv $tmp/nowhere" "--load 0" "--what"; do
    rc=0
    # shellcheck disable=SC2086
    "$sim" $bad --only one-dead >/dev/null 2>"$tmp/err" || rc=$?
    [ "$bad" = "--only nothing" ] && { rc=0; "$sim" $bad >/dev/null 2>"$tmp/err" || rc=$?; }
    [ "$rc" = 2 ] && [ -s "$tmp/err" ] || { echo "exit status $rc for $bad"; exit 1; }
done
