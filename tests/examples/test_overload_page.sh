#!/bin/bash
# The examples of docs/overload.md, as they stand there: each block of C compiles by itself against the
# public headers, and the one with a main() is run.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${B:?set B to the build folder}"
cc=gcc flags="-std=c11 -Wall -Wextra -Wshadow -Werror -Irpc/include"
case "${MODE:-release}" in
asan) flags+=" -fsanitize=address,undefined -fno-sanitize-recover=all" ;;
tsan) flags+=" -fsanitize=thread" ;;
clang) cc=clang ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

awk -v dir="$work" '
    $0 == "```c" { n++; on = 1; next }
    $0 == "```" { on = 0 }
    on { print > (dir "/block" n ".c") }' docs/overload.md
blocks=("$work"/block*.c)
[ "${#blocks[@]}" -ge 5 ] || { echo "docs/overload.md has ${#blocks[@]} blocks of C: they are gone, or this test is"; exit 1; }
for block in "${blocks[@]}"; do
    # shellcheck disable=SC2086
    $cc $flags -c -o "${block%.c}.o" "$block"
done

program=$(grep -l 'int main(' "${blocks[@]}")
# shellcheck disable=SC2086
$cc $flags -o "$work/program" "$program" "$B/lib/libtern.a" -lnghttp2 -lprotobuf-c -lssl -lcrypto -lz -lzstd \
    -ljansson -lcares -lpthread
cat >"$work/expected" <<'END'
healthy: OK
broken: UNAVAILABLE
healthy again: OK
aborted: 3, the call and its two retries
END
timeout 60 "$work/program" >"$work/said"
diff "$work/expected" "$work/said" || { echo "that is not what the program of docs/overload.md was to say"; exit 1; }

# Every field of the options is told of.
for header in overload.h fault.h; do
    python3 - "rpc/include/tern/$header" docs/overload.md <<'PY'
import re
import sys
header, page = open(sys.argv[1]).read(), open(sys.argv[2]).read()
header = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
for body, name in re.findall(r"typedef struct \w+ \{(.*?)\} (\w+);", header, re.S):
    if not name.endswith(("_options", "_limits")):
        continue
    for line in body.split(";"):
        for field in re.findall(r"\b(\w+)\s*(?:,|$)", line.strip()):
            if field != "size" and f"`{field}`" not in page and f".{field}`" not in page:
                sys.exit(f"docs/overload.md does not tell of {name}.{field}")
PY
done
echo "ok: the examples of docs/overload.md compile, run, and its tables are complete"
