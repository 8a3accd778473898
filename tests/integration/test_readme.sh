#!/bin/bash
# The first service of README.md, word for word: its blocks are taken out of the page, generated, compiled
# against an installed Tern and run. A newcomer's five minutes must not depend on luck.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${B:?set B to the build folder}"
case "${MODE:-release}" in
asan | tsan)
    echo "skipped under a sanitizer: a user's program is linked without one, the libraries with"
    exit 77
    ;;
esac

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

# Writes the n-th block of a language to a file.
block() { # language n file
    awk -v lang="$1" -v want="$2" '
        $0 == "```" lang { n++; on = n == want; next }
        $0 == "```" { on = 0 }
        on' README.md >"$3"
    [ -s "$3" ] || { echo "README.md has no block $2 of $1"; exit 1; }
}
block proto 1 "$work/hello.proto"
block c 1 "$work/server.c"
block c 2 "$work/client.c"

# A port of our own, so that two runs do not meet.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
sed -i "s/50051/$port/" "$work/server.c" "$work/client.c"

make -s MODE="${MODE:-release}" B="$B" PREFIX="$work/usr" install >"$work/install.log" 2>&1 || {
    cat "$work/install.log"
    exit 1
}
cd "$work"
export PATH="$work/usr/bin:$PATH" PKG_CONFIG_PATH="$work/usr/lib/pkgconfig" LD_LIBRARY_PATH="$work/usr/lib"
protoc --tern_out=. hello.proto
for program in server client; do
    # shellcheck disable=SC2046
    cc -Wall -Wextra -Werror -o $program $program.c hello.pb-c.c hello.tern.c \
        $(pkg-config --cflags --libs tern)
done
./server &
server=$!
for _ in $(seq 100); do
    if answer=$(./client 2>client.err); then break; fi
    sleep 0.05
done
[ "${answer:-}" = "Hello, world!" ] || { echo "client said: ${answer:-nothing}"; cat client.err; exit 1; }
said=$(tern call "localhost:$port" hello.v1.Greeter/Greet -d '{"name": "you"}' --proto hello.proto)
case "$said" in
*"Hello, you!"*) ;;
*) echo "tern call said: $said"; exit 1 ;;
esac
kill -TERM "$server"
wait "$server" || { echo "the server did not end with 0 after SIGTERM"; exit 1; }
server=
echo "ok: README's first service works"
