#!/bin/bash
# The examples for programs with a loop of their own, as a user builds them: generated, compiled
# against an installed Tern, run against a server. And docs/async.md quotes them as they are.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${B:?set B to the build folder}"
cc=gcc flags="-Wall -Wextra -Werror"
case "${MODE:-release}" in
asan) flags+=" -fsanitize=address,undefined -fno-sanitize-recover=all" ;;
tsan) flags+=" -fsanitize=thread" ;;
clang) cc=clang ;;
esac

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

# Every block of C in the page stands in one of the programs, word for word.
python3 - docs/async.md tests/examples/*.c <<'PY'
import re
import sys
page = open(sys.argv[1]).read()
programs = [open(name).read() for name in sys.argv[2:]]
blocks = re.findall(r"^```c\n(.*?)^```$", page, re.S | re.M)
if len(blocks) < 4:
    sys.exit(f"{sys.argv[1]} has {len(blocks)} blocks of C: the quotes are gone, or this test is")
for block in blocks:
    if not any(block in program for program in programs):
        sys.exit(f"{sys.argv[1]} quotes what is in none of the examples:\n{block}")
PY

make -s MODE="${MODE:-release}" B="$B" PREFIX="$work/usr" install >"$work/install.log" 2>&1 || {
    cat "$work/install.log"
    exit 1
}
cp tests/examples/greeter.proto tests/examples/*.c "$work"
cd "$work"
export PATH="$work/usr/bin:$PATH" PKG_CONFIG_PATH="$work/usr/lib/pkgconfig" LD_LIBRARY_PATH="$work/usr/lib"
protoc --tern_out=. greeter.proto
compile() { # program, libraries...
    # shellcheck disable=SC2046,SC2086
    $cc $flags -o "$1" "$1.c" greeter.pb-c.c greeter.tern.c $(pkg-config --cflags --libs tern) \
        "${@:2}"
}
compile server
compile libuv -luv
compile libev -lev

./server >target &
server=$!
for _ in $(seq 200); do
    [ -s target ] && break
    sleep 0.05
done
read -r target <target

# Godot does not come within his second: time alone must wake the loop.
sort >expected <<'END'
Godot: DEADLINE_EXCEEDED
Hello, Ada!
Hello, Grace!
Welcome, Ada!
Welcome, Godot!
Welcome, Grace!
the stream ended with OK
END
for program in libuv libev; do
    timeout 60 ./$program "$target" Ada Godot Grace >said || {
        echo "$program ended with status $?, having said:"
        cat said
        exit 1
    }
    sort said | diff expected - || { echo "that is not what $program was to say"; exit 1; }
done

kill -TERM "$server"
wait "$server" || { echo "the server did not end with 0 after SIGTERM"; exit 1; }
server=

# Nobody there: every call ends with its status, and the programs end.
for program in libuv libev; do
    rc=0
    timeout 60 ./$program "$target" Ada >said || rc=$?
    if [ "$rc" != 1 ] || ! grep -qx "Ada: UNAVAILABLE" said ||
        ! grep -qx "the stream ended with UNAVAILABLE" said; then
        echo "$program ended with $rc without a server, having said:"
        cat said
        exit 1
    fi
done
echo "ok: libuv and libev drive Tern's loop, and docs/async.md quotes them"
