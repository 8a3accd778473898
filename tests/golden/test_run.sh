#!/bin/sh
# Generated code does what it should: proto3 `optional`, stubs, defaults of floating-point fields.
# What run_optional.c packs is read by Google's implementation as well.
TERN_OPT=reflection=yes
. "$(dirname "$0")/lib.sh"

generate "$TMP/gen" optional3.proto services.proto keywords.proto collisions.proto \
    nopackage.proto floats.proto

# run NAME SOURCES -- ARGUMENTS: builds run_NAME.c with generated sources, and runs it.
run() {
    program=$1
    sources=$2
    shift 2
    (cd "$TMP/gen" && "${CC:-gcc}" -std=c11 -Wall -Wextra -Werror -g -I. -I"$root/rpc/include" \
        -fsanitize=address,undefined -fno-sanitize-recover=all \
        -o "$TMP/$program" "$here/run_$program.c" $sources -lprotobuf-c -lm) ||
        fail "run_$program.c does not compile"
    "$TMP/$program" "$@" || fail "run_$program.c failed"
}

mkdir "$TMP/packed"
run optional optional3.pb-c.c "$TMP/packed"
stubs=
for name in services keywords collisions nopackage; do
    stubs="$stubs $name.pb-c.c $name.tern.c"
done
run stubs "$stubs"
run floats floats.pb-c.c

mkdir "$TMP/python"
(cd "$here" && protoc -I. --python_out="$TMP/python" optional3.proto)
/usr/bin/python3 "$here/run_optional.py" "$TMP/python" "$TMP/packed" ||
    fail "Google's implementation reads something else"
