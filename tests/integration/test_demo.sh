#!/bin/bash
# The demonstration as a user starts it, but shorter, and on a file of its own with lines that are
# bad: serial, because it measures nothing but takes both cores.
set -u
cd "$(dirname "$0")/../.." || exit 1
fail() {
    echo "test_demo: $*"
    exit 1
}
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT

N=3000 tools/demo "$B" >"$out/made-up" 2>"$out/made-up.err" || {
    cat "$out/made-up" "$out/made-up.err"
    fail "the demonstration failed"
}
cat "$out/made-up"
for row in accepted "by drone" "by third party" compensated cancelled parked "calls to services" \
    retries "breaker openings" "workflow p50" "workflow p99" "workflows per second"; do
    grep -q "^ *$row  *[0-9]" "$out/made-up" || fail "the table has no \"$row\""
done
grep -q '^check: all invariants hold$' "$out/made-up" || fail "no verdict"
number() { sed -n "s/^ *$1  *\([0-9]*\)$/\1/p" "$out/$2"; }
[ "$(number accepted made-up)" = 3000 ] || fail "not all of the 3000 were accepted"
for row in "by drone" "by third party" compensated cancelled; do
    [ "$(number "$row" made-up)" -gt 0 ] || fail "nothing was \"$row\""
done
grep -q $'\033' "$out/made-up" "$out/made-up.err" && fail "control characters without a terminal"

places=pickup_latitude,pickup_longitude,dropoff_latitude,dropoff_longitude
# A file: quoted fields, CRLF, and three lines that are bad, each named.
printf '%s\r\n' \
    "requested_at,pickup_zone,$places,units" \
    '2019-03-01T00:03:29,"Lincoln Square, East",40.773633,-73.981532,40.780436,-73.957012,3' \
    '2019-03-01T00:08:32,East Chelsea,95,-73.916822,40.807347,-73.916822,1' \
    '2019-02-28T23:29:03,Old Astoria,40.771570,-73.928333,40.754243,-73.934829,1' \
    'not a time,Old Astoria,40.771570,-73.928333,40.754243,-73.934829,1' \
    '2019-03-01T00:15:53,West Village,40.734576' >"$out/trips.csv"
tools/demo "$B" "$out/trips.csv" >"$out/file" 2>"$out/file.err" || fail "a file's failed"
[ "$(number accepted file)" = 2 ] || fail "two good lines gave $(number accepted file) deliveries"
[ "$(number 'bad lines' file)" = 3 ] || fail "three bad lines gave $(number 'bad lines' file)"
grep -q '^line 3: pickup_latitude: 95 is outside' "$out/file.err" || fail "line 3 is not named"
grep -q '^line 5: requested_at: "not a time"' "$out/file.err" || fail "line 5 is not named"
grep -q '^line 6: 3 fields, but the header has 7' "$out/file.err" || fail "line 6 is not named"

tools/demo "$B" "$out/missing.csv" >"$out/none" 2>&1 && fail "a missing file was no error"
grep -q 'missing.csv cannot be read' "$out/none" || fail "a missing file is not named"
exit 0
