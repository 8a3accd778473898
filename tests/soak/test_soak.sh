#!/bin/bash
# `make soak` in 20 seconds; then with 20 KB lost in every call, which must be found.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${B:?set B to the build folder}"

tests/soak/run "$B" 20
if ASAN_OPTIONS=detect_leaks=0 tests/soak/run "$B" 5 20000 >"$B/test-soak-leak.log" 2>&1; then
    cat "$B/test-soak-leak.log"
    echo "a leak of 20 KB a call was not found"
    exit 1
fi
grep "the client has grown: .* heap in use" "$B/test-soak-leak.log" || {
    cat "$B/test-soak-leak.log"
    echo "it failed, but not for its leak"
    exit 1
}
