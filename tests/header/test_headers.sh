#!/bin/bash
# Every header compiles alone: the public ones as C11 and as C++11, by gcc and by clang, pedantically;
# the internal ones as the C that the library is written in. Included twice, to see the guard.
set -u
cd "$(dirname "$0")/../.." || exit 1

STRICT="-Wall -Wextra -Werror -pedantic -fsyntax-only"
failed=0 n=0

compile() { # what it is, source, command
    local what=$1 source=$2
    shift 2
    n=$((n + 1))
    if ! printf '%s\n' "$source" | "$@" -; then
        echo "FAIL: $what by: $*"
        failed=$((failed + 1))
    fi
}

for tool in gcc clang g++ clang++; do
    if ! command -v "$tool" >/dev/null; then
        echo "FAIL: $tool is not installed; tools/setup installs it"
        exit 1
    fi
done

# A declaration of its own, because a translation unit may not be empty.
for header in rpc/include/tern/*.h; do
    name=tern/$(basename "$header")
    source="#include <$name>
#include <$name>
extern int header_test;"
    for cc in gcc clang; do
        compile "$name" "$source" $cc -std=c11 $STRICT -Wstrict-prototypes -Wmissing-prototypes \
            -Irpc/include -x c
    done
    for cxx in g++ clang++; do
        compile "$name" "$source" $cxx -std=c++11 $STRICT -Irpc/include -x c++
    done
done

# The macros work in both languages, in functions and outside.
use="#include <tern/tern.h>
#include <tern/stub.h>
static tern_channel_options ch = TERN_CHANNEL_OPTIONS_INIT;
static tern_server_options srv = TERN_SERVER_OPTIONS_INIT;
static tern_call_options call = TERN_CALL_OPTIONS_INIT;
size_t header_test(void);
size_t header_test(void)
{
    tern_tls_client_options tls = TERN_TLS_CLIENT_OPTIONS_INIT;
    tern_fault_options fault = TERN_FAULT_OPTIONS_INIT;
    tern_method_limits limits = TERN_METHOD_LIMITS_INIT;
    return ch.size + srv.size + call.size + tls.size + fault.size + limits.size;
}"
for cc in gcc clang; do
    compile "the _INIT macros" "$use" $cc -std=c11 $STRICT -Irpc/include -x c
done
for cxx in g++ clang++; do
    for std in c++11 c++20; do
        compile "the _INIT macros" "$use" $cxx -std=$std $STRICT -Wshadow -Irpc/include -x c++
    done
done

for header in rpc/*/*.h; do
    case $header in rpc/include/*) continue ;; esac
    name=${header#rpc/}
    compile "$name" "#include \"$name\"
#include \"$name\"
extern int header_test;" gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -fsyntax-only \
        -Irpc/include -Irpc -I"${B:-build}/gen" -x c
done

echo "$n compilations, $failed failed"
[ "$failed" = 0 ]
