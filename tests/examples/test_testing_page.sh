#!/bin/bash
# The program of docs/testing.md compiles as a user's would, against an installed Tern, and passes, with
# the shared library and with the archive; every function, field, limit and assertion of the headers is
# told of on that page. Serial: it installs, and the .pc files of one build folder know one PREFIX at a time.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${B:?set B to the build folder}"
page=docs/testing.md
cc=gcc flags="-std=c11 -Wall -Wextra -Wshadow -Wconversion -Werror"
case "${MODE:-release}" in
asan) flags+=" -g -fsanitize=address,undefined -fno-sanitize-recover=all" ;;
tsan) flags+=" -g -fsanitize=thread" ;;
clang) cc=clang ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$page" >"$work/program.c"
[ -s "$work/program.c" ] || { echo "$page has no program: it is gone, or this test is"; exit 1; }

make -s MODE="${MODE:-release}" B="$B" PREFIX="$work/usr" install >"$work/install.log" 2>&1 || {
    cat "$work/install.log"
    exit 1
}
export PKG_CONFIG_PATH="$work/usr/lib/pkgconfig" LD_LIBRARY_PATH="$work/usr/lib"
# shellcheck disable=SC2046,SC2086
$cc $flags -o "$work/shared" "$work/program.c" $(pkg-config --cflags --libs tern-testing) -lcmocka
# shellcheck disable=SC2046,SC2086
$cc $flags -o "$work/static" "$work/program.c" $(pkg-config --cflags tern-testing) "$work/usr/lib/libtern-testing.a" \
    "$work/usr/lib/libtern.a" -lnghttp2 -lprotobuf-c -lssl -lcrypto -lz -lzstd -ljansson -lcares -lpthread -lcmocka
ldd "$work/shared" | grep -q "$work/usr/lib/libtern.so" || { echo "the first one is not linked with libtern.so"; exit 1; }
for program in shared static; do
    timeout 60 "$work/$program" >"$work/said" 2>&1 || { cat "$work/said"; exit 1; }
    grep -q "PASSED  . 5 test" "$work/said" || { cat "$work/said"; exit 1; }
done
# Nothing but its own names comes out of the archive.
others=$(nm --defined-only "$work/usr/lib/libtern-testing.a" | awk '$2 ~ /[A-Z]/ && $3 !~ /^tern_testing_/ { print $3 }')
[ -z "$others" ] || { echo "libtern-testing.a also defines: $others"; exit 1; }

python3 - "$page" <<'PY'
import re
import sys

page = open(sys.argv[1]).read()
strip = lambda path: re.sub(r"/\*.*?\*/", "", open(path).read(), flags=re.S)
header, macros = strip("rpc/include/tern/testing.h"), strip("rpc/include/tern/testing_cmocka.h")
words = re.findall(r"(tern_testing_\w+)\(", header) + re.findall(r"\b(TERN_TESTING_[A-Z_]+_MAX)\b", header)
words += re.findall(r"^    (TERN_TESTING_\w+) = ", header, re.M)
words += re.findall(r"define (tern_assert_\w+)", macros)
for body in re.findall(r"typedef struct tern_testing_(?:answer|call|faults) \{(.*?)\n\}", header, re.S):
    words += re.findall(r"(\w+);", body)
assert {"pushback", "cancelled", "TERN_TESTING_DROP", "tern_assert_ok", "tern_testing_join", "cut_after"} <= set(words), words
words = [w for w in words if w not in ("size", "TERN_TESTING_TARGET_MAX")]
missing = [w for w in words if not re.search(rf"\b{w}\b", page)]
if missing:
    sys.exit(f"{sys.argv[1]} does not tell of {', '.join(missing)}")
PY
