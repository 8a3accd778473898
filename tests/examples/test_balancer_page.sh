#!/bin/bash
# The program of docs/load-balancing.md, as it stands there: it compiles against the public headers alone,
# and says what the page says it does.
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

page=docs/load-balancing.md
awk '$0 == "```c" { on = 1; next } $0 == "```" { on = 0 } on' $page >"$work/program.c"
grep -q 'int main(' "$work/program.c" || { echo "$page has no program: it is gone, or this test is"; exit 1; }
# shellcheck disable=SC2086
$cc $flags -o "$work/program" "$work/program.c" "$B/lib/libtern.a" -lnghttp2 -lprotobuf-c -lssl -lcrypto -lz \
    -lzstd -ljansson -lcares -lpthread
timeout 60 "$work/program" >"$work/said"
said=$(cat "$work/said")
[ -n "$said" ] && grep -qF -- "    $said" $page || { echo "$page does not tell: $said"; exit 1; }

# Every function of the header is either in the page's program or has its test.
for name in $(grep -oE '\btern_balancer_[a-z_]+\(' rpc/include/tern/balancer.h | tr -d '(' | sort -u); do
    grep -q "$name(" tests/unit/policy/test_lb_custom.c || { echo "$name has no test"; exit 1; }
done
echo "ok: the program of docs/load-balancing.md compiles and says what the page does"
