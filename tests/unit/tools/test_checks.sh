#!/bin/bash
# The checks see what they are for: each breach is planted alone in a small tree, and must be named
# with its file and line; the same tree without it must pass.
set -u
cd "$(dirname "$0")/../../.." || exit 1
TOOLS=$PWD/tools
T=$(mktemp -d) || exit 1
trap 'rm -rf "$T"' EXIT
CC=${CC:-gcc}
failed=0 n=0

put() { # path, text
    mkdir -p "$T/$(dirname "$1")"
    printf '%s\n' "$2" >"$T/$1"
}

# A tree in which nothing is wrong.
fresh() {
    rm -rf "${T:?}"/*
    local layer
    for layer in base wire policy observe h2 io client server stub; do
        put "rpc/$layer/a.h" "/* a */"
        put "rpc/$layer/a.c" "#include \"$layer/a.h\"
int tern__${layer}_a(void);
int tern__${layer}_a(void) { return 1; }"
    done
    put rpc/include/tern/a.h "#include <stddef.h>
#include <tern/export.h>
TERN_API int tern_a(int x);
TERN_API extern const char *tern_name;"
    put rpc/include/tern/export.h '#define TERN_API __attribute__((visibility("default")))'
    put rpc/include/tern/stub.h "#include <protobuf-c/protobuf-c.h>"
    put services/drone/store.h "/* own */"
    put services/drone/store.c '#include <tern/a.h>
#include "store.h"
#include "drone/store.h"
#include "services/drone/store.h"
#include "drone/v1/drone.pb-c.h"
#include <sqlite3.h>
/* #include "base/a.h" is only talk */'
    put codegen/main.c "#include <protobuf-c/protobuf-c.h>"
    put tests/unit/h2/test_a.c "#include <nghttp2/nghttp2.h>"
}

build() {
    local source object
    for source in "$T"/rpc/*/*.c; do
        object=$T/obj/${source#"$T"/}
        mkdir -p "$(dirname "$object")"
        $CC -O1 -fPIC -I"$T/rpc" -I"$T/rpc/include" -c -o "${object%.c}.o" "$source" || exit 1
    done
}

good() { # what, command
    local what=$1
    shift
    n=$((n + 1))
    if ! "$@" >"$T/out" 2>&1; then
        failed=$((failed + 1))
        echo "FAIL: $what: should pass, but:"
        cat "$T/out"
    fi
}

# The command must fail, and say every one of the given things.
bad() { # what, expected text, command
    local what=$1 expected=$2
    shift 2
    n=$((n + 1))
    if "$@" >"$T/out" 2>&1; then
        failed=$((failed + 1))
        echo "FAIL: $what: passed, though it should not"
    elif ! grep -qF -- "$expected" "$T/out"; then
        failed=$((failed + 1))
        echo "FAIL: $what: nothing of '$expected' in:"
        cat "$T/out"
    fi
}

layers() { "$TOOLS/check-layers" --root "$T" "$@"; }

# --- includes -----------------------------------------------------------------------------------

include_breach() { # file, include, part of the message
    fresh
    put "$1" "/* one
two */
#include $2"
    bad "$1 includes $2" "$1:3: " layers
    if ! grep -qF -- "$3" "$T/out"; then
        failed=$((failed + 1))
        echo "FAIL: $1 includes $2: nothing of '$3' in:"
        cat "$T/out"
    fi
}

include_fine() { # file, include
    fresh
    put "$1" "#include $2"
    good "$1 includes $2" layers
}

fresh
good "a clean tree" layers
include_breach rpc/base/b.c '"wire/a.h"' "above it"
include_breach rpc/wire/b.h '"h2/a.h"' "above it"
include_breach rpc/h2/b.c '"io/a.h"' "above it"
include_breach rpc/io/b.c '"client/a.h"' "above it"
include_breach rpc/client/b.c '"stub/a.h"' "above it"
include_breach rpc/server/b.c '  "stub/a.h"' "above it"
include_breach rpc/policy/b.c '<wire/a.h>' "are on one level"
include_breach rpc/wire/b.c '"policy/a.h"' "are on one level"
include_breach rpc/observe/b.c '"policy/a.h"' "are on one level"
include_breach rpc/client/b.c '"server/a.h"' "are on one level"
include_breach rpc/server/b.c '"client/a.h"' "are on one level"
include_breach rpc/client/b.c '"a.h"' "carries its layer"
include_breach rpc/client/b.c '"gen/what.h"' "of no layer"
include_breach rpc/extra/b.c '<stdio.h>' "is no layer"
include_breach rpc/io/b.c '<nghttp2/nghttp2.h>' "only rpc/h2"
include_breach services/drone/b.c '<nghttp2/nghttp2.h>' "only rpc/h2"
include_breach tools/tern/b.c '<nghttp2/nghttp2.h>' "only rpc/h2"
include_breach rpc/include/tern/b.h '<nghttp2/nghttp2.h>' "only rpc/h2"
include_breach rpc/client/b.c '<openssl/ssl.h>' "only rpc/io"
include_breach rpc/h2/b.c '<openssl/ssl.h>' "only rpc/io"
include_breach rpc/client/b.c '<ares.h>' "only rpc/io"
include_breach rpc/client/b.c '<ares_version.h>' "only rpc/io"
include_breach rpc/client/b.c '<zlib.h>' "only rpc/wire"
include_breach rpc/include/tern/b.h '<zstd.h>' "only rpc/wire"
include_breach tools/tern/b.c '<zstd_errors.h>' "only rpc/wire"
include_breach rpc/policy/service_config.c '<jansson.h>' "only rpc/policy/service_config_json.c"
include_breach rpc/client/service_config_json.c '<jansson.h>' "only rpc/policy/service_config_json.c"
include_breach rpc/include/tern/b.h '<jansson.h>' "only rpc/policy/service_config_json.c"
include_breach rpc/server/b.c '<protobuf-c/protobuf-c.h>' "only rpc/stub knows"
include_breach rpc/client/b.c '<tern/stub.h>' "only rpc/stub may"
include_breach rpc/server/b.c '"grpc/health/v1/health.pb-c.h"' "only rpc/stub may"
include_breach rpc/include/tern/b.h '<protobuf-c/protobuf-c.h>' "only <tern/stub.h>"
include_breach rpc/include/tern/b.h '"base/a.h"' "a public header includes only"
include_breach services/drone/b.c '"base/a.h"' "of Tern only <tern/"
include_breach services/drone/b.c '<client/a.h>' "of Tern only <tern/"
include_breach services/drone/b.c '"rpc/client/a.h"' "of Tern only <tern/"
include_breach services/drone/b.c '"missing.h"' "neither of services/ nor generated"
include_breach services/drone/b.c '"../store.h"' "with ../"
include_breach rpc/client/b.c '"client/../io/a.h"' "with ../"
include_breach codegen/b.c '"../rpc/base/a.h"' "with ../"
include_breach tests/unit/wire/b.c '"../../rpc/wire/a.h"' "with ../"
include_fine rpc/stub/b.c '<protobuf-c/protobuf-c.h>'
include_fine rpc/stub/b.c '"grpc/health/v1/health.tern.h"'
include_fine rpc/stub/b.c '"server/a.h"'
include_fine rpc/stub/b.c '"client/a.h"'
include_fine rpc/h2/b.c '<nghttp2/nghttp2.h>'
include_fine rpc/h2/b.c '"policy/a.h"'
include_fine rpc/io/b.c '<openssl/ssl.h>'
include_fine rpc/io/b.c '<ares.h>'
include_fine rpc/policy/service_config_json.c '<jansson.h>'
include_fine tools/tern/b.c '<jansson.h>'
include_fine rpc/wire/b.c '<zlib.h>'
include_fine rpc/wire/b.h '<zstd.h>'
bad "a folder that is no tree" "has no rpc/" "$TOOLS/check-layers" --root /nonexistent

# --- symbols ------------------------------------------------------------------------------------

symbol_breach() { # layer, expression, symbol
    fresh
    put "rpc/$1/b.c" "#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
extern int nghttp2_version(int);
extern int tern__stub_a(void);
extern int tern__wire_a(void);
extern int tern__policy_a(void);
extern int inflate(void *, int), ZSTD_freeCCtx(void *), gzopen(void *, int);
extern int json_object_size(void *);
long tern__b(void *p);
long tern__b(void *p) { return (long)($2) + (p != 0); }"
    build
    bad "$1 calls $3" "b.o: $3: " layers --objects "$T/obj"
}

symbol_breach base 'read(0, p, 1)' read
symbol_breach wire 'socket(1, 1, 1)' socket
symbol_breach policy 'time(p)' time
symbol_breach observe 'clock_gettime(1, p)' clock_gettime
symbol_breach h2 'pthread_mutex_lock(p)' pthread_mutex_lock
symbol_breach base 'rand()' rand
symbol_breach wire 'getenv(p) != 0' getenv
symbol_breach policy 'nghttp2_version(0)' nghttp2_version
symbol_breach policy 'tern__wire_a()' tern__wire_a
symbol_breach h2 'inflate(p, 0)' inflate
symbol_breach base 'ZSTD_freeCCtx(p)' ZSTD_freeCCtx
symbol_breach wire 'gzopen(p, 0)' gzopen
symbol_breach policy 'json_object_size(p)' json_object_size
symbol_breach client 'tern__stub_a()' tern__stub_a

json_reader() { # the call that the one source with jansson makes
    fresh
    put rpc/policy/service_config_json.c "extern int json_object_size(void *), json_loadf(void *);
int tern__j(void *p);
int tern__j(void *p) { return $1(p); }"
    build
}
json_reader json_object_size
good "jansson where it belongs" layers --objects "$T/obj"
json_reader json_loadf
bad "jansson with a file" "service_config_json.o: json_loadf: " layers --objects "$T/obj"

fresh
put rpc/h2/b.c '#include <stdio.h>
#include <stdlib.h>
#include <string.h>
extern int nghttp2_version(int);
extern int tern__policy_a(void);
int tern__b(char *p, unsigned long n);
int tern__b(char *p, unsigned long n)
{
    snprintf(p, n, "%p", malloc(n));
    memmove(p, p + 1, strlen(p));
    return nghttp2_version(0) + tern__policy_a();
}'
put rpc/wire/b.c 'extern int inflate(void *, int), deflateInit2_(void *), ZSTD_freeCCtx(void *);
int tern__wire_b(void *p);
int tern__wire_b(void *p) { return inflate(p, 0) + deflateInit2_(p) + ZSTD_freeCCtx(p); }'
put rpc/io/b.c '#include <time.h>
long tern__io_b(void);
long tern__io_b(void) { return time(0); }'
build
good "what the layers may call" layers --objects "$T/obj"
rm "$T/obj/rpc/wire/a.o"
bad "an object that is missing" "wire/a.o: is not built" layers --objects "$T/obj"

# --- sizes --------------------------------------------------------------------------------------

size() { "$TOOLS/check-size" --root "$T"; }

lines() { # how many, of what
    local i
    for ((i = 0; i < $1; i++)); do echo "$2"; done
}

fresh
put rpc/base/b.c "$(lines 800 '/* */')"
good "800 lines" size
put rpc/base/b.c "$(lines 801 '/* */')"
bad "801 lines" "rpc/base/b.c:801: the file has 801 lines" size
put rpc/base/b.c "/* $(printf '%094d' 0) */"
good "100 columns" size
put rpc/base/b.c "/* $(printf '%095d' 0) */"
bad "101 columns" "rpc/base/b.c:1: 101 columns, 100 are allowed" size
# 70 lines: two of signature, two braces, 66 within. Braces in strings and comments are none.
put rpc/base/b.c "int x;

static int f(int a,
             int b)
{
$(lines 66 '    a += "}"[b]; /* } */')
}"
put services/drone/big.c "int f(int a) {
$(lines 68 "    a += '}';")
}
#define WRAP(x) { \\
    x

int g(void) { return 1; }"
good "70 lines in a function" size
put rpc/base/b.c "int x;

/* Says what f does. */
static int f(int a,
             int b)
{
$(lines 67 '    if (a) { b++; }')
}"
bad "71 lines in a function" "rpc/base/b.c:4: f() has 71 lines" size
put rpc/base/b.c "int g(int a);"
put services/drone/big.c "int g(int a,
      int b) {
$(lines 68 '    a++;')
}"
bad "71 lines, brace behind the signature" "services/drone/big.c:1: g() has 71 lines" size
put services/drone/big.c "static const int table[] = {
$(lines 100 '    1,')
};"
put tests/golden/b.c "$(lines 900 '/* */')"
put tests/unit/codegen/expected/b.c "$(lines 900 '/* */')"
good "tables and expected output may be long" size
put services/drone/big.c "int f(void)
{
    {"
bad "a body without an end" "services/drone/big.c:1: this function's body is never closed" size

# --- exports ------------------------------------------------------------------------------------

exports() { # source of the library
    put lib.c "$1"
    $CC -shared -fPIC -fvisibility=hidden -I"$T/rpc/include" -o "$T/lib.so" "$T/lib.c" || exit 1
    "$TOOLS/check-exports" "$T/lib.so" --headers "$T/rpc/include/tern"
}

fresh
both='#include <tern/a.h>
const char *tern_name = "x";
int tern_a(int x) { return x; }
int tern__inner(void) { return 1; }'
good "exports as declared" exports "$both"
bad "an export without the prefix" "other: exported, but does not begin with tern_" exports "$both
TERN_API int other(void) { return 1; }"
bad "an internal export" "tern__outer: exported, but does not begin with tern_" exports "$both
TERN_API int tern__outer(void) { return 1; }"
bad "an export that nobody declares" "tern_more: exported, but declared in no public header" \
    exports "$both
TERN_API int tern_more(void) { return 1; }"
bad "a declaration without an export" "a.h:3: tern_a: declared, but" exports '#include <tern/a.h>
const char *tern_name = "x";'

# --- protocol -----------------------------------------------------------------------------------

protocol() { "$TOOLS/check-protocol" --root "$T"; }
table() { # last column of a row
    fresh
    put tests/unit/wire/test_a.c "static void test_one(void **state)"
    put tests/unit/wire/test_b.c "static void test_two(void **state)"
    put docs/protocol.md "# Protocol

| What | Source | Tests |
|---|---|---|
| a thing | P | $1 |"
}

table "unit/wire/test_a.c: test_one; unit/wire/test_b.c: test_two"
good "tests that exist" protocol
table "unit/wire/test_a.c: test_one, test_two"
bad "a test that does not exist" "docs/protocol.md:5: unit/wire/test_a.c has no 'test_two'" protocol
table "unit/wire/test_a.c: test_on"
bad "a part of a name" "has no 'test_on'" protocol
table "unit/wire/test_c.c: test_one"
bad "a file that does not exist" "docs/protocol.md:5: tests/unit/wire/test_c.c is no file" protocol
table "unit/wire/test_a.c"
bad "a file without a test" "is no file" protocol
table ""
bad "a row without a test" "docs/protocol.md:5: no test is named" protocol
fresh
put docs/protocol.md "nothing"
bad "no table" "docs/protocol.md:1: there is no table" protocol

runtime_codes() { # file, code; a call must not end with a code that is the application's
    table "unit/wire/test_a.c: test_one"
    put "$1" "int code = TERN_$2;"
}
for code in INVALID_ARGUMENT NOT_FOUND ALREADY_EXISTS FAILED_PRECONDITION ABORTED OUT_OF_RANGE DATA_LOSS; do
    runtime_codes rpc/client/call.c $code
    bad "$code from a call" "rpc/client/call.c:1: TERN_$code is for applications (A54)" protocol
    runtime_codes rpc/server/respond.c $code
    bad "$code from a server" "rpc/server/respond.c:1: TERN_$code is for applications (A54)" protocol
    runtime_codes rpc/client/channel.c $code
    good "$code from the making of a channel" protocol
done
runtime_codes rpc/client/call.c UNAVAILABLE
good "UNAVAILABLE from a call" protocol

echo "$n checks, $failed failed"
[ "$failed" = 0 ]
