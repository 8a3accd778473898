#!/bin/bash
# The program of docs/name-resolution.md compiles as a user's would, runs, and says what is expected;
# every field of <tern/resolver.h> is told of there, and every option and limit that is about names.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
page=docs/name-resolution.md

flags="-std=c11 -Wall -Wextra -Wshadow -Wconversion -Werror -Irpc/include"
cc=gcc
case ${MODE:-release} in
asan) flags="$flags -g -fsanitize=address,undefined -fno-sanitize-recover=all" ;;
tsan) flags="$flags -g -fsanitize=thread" ;;
clang) cc=clang ;;
esac
awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$page" >"$work/program.c"
[ -s "$work/program.c" ] || { echo "$page has no program: it is gone, or this test is"; exit 1; }
# shellcheck disable=SC2086
$cc $flags -o "$work/program" "$work/program.c" "$B/lib/libtern.a" -lnghttp2 -lprotobuf-c -lssl -lcrypto -lz \
    -lzstd -ljansson -lcares -lpthread
timeout 60 "$work/program" >"$work/said"
diff - "$work/said" <<<"nobody is there: as it should be"

python3 - "$page" <<'PY'
import re
import sys

page = open(sys.argv[1]).read()
header = re.sub(r"/\*.*?\*/", "", open("rpc/include/tern/resolver.h").read(), flags=re.S)
words = ["dns_resolver", "dns_service_config", "servers_reload_ms", "TERN_DNS_RESOLVER"]
for body in re.findall(r"typedef struct \w+ \{(.*?)\n\}", header, re.S):
    words += re.findall(r"(\w+)(?:\)\([^;]*\))?;", body)
assert "resolve_now" in words and "hash_key" in words, words
words += re.findall(r"define (TERN_LIMIT_(?:DNS|SRV|RESOLVE|SERVERS_FILE|ADDRESSES)\w*)",
                    open("rpc/include/tern/limits.h").read())
missing = [w for w in words if not re.search(rf"\b{w}\b", page)]
if missing:
    sys.exit(f"{sys.argv[1]} does not tell of {', '.join(missing)}")
PY
