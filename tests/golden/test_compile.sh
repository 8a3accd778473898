#!/bin/sh
# Everything that is generated compiles without a warning: as C11 with gcc and clang, as C++11 and
# C++17 with g++ and clang++, sources and headers alike. A compiler that is not installed is left
# out, and said so; none at all is a failure.
TERN_OPT=reflection=yes
. "$(dirname "$0")/lib.sh"

common="-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wcast-qual"
common="$common -Wimplicit-fallthrough -Werror"
only_c="-Wstrict-prototypes -Wmissing-prototypes"

generate "$TMP/gen" $(golden_protos) $(installed_protos)

# One more source that uses every header twice, and every _INIT macro, as a program would. clang
# warns of the deprecated fields that an _INIT macro sets, as it does with protoc-gen-c's: that is
# switched off.
{
    echo '#define PROTOBUF_C__NO_DEPRECATED'
    find "$TMP/gen" -name '*.h' | LC_ALL=C sort | sed 's|.*|#include "&"\n#include "&"|'
    echo 'void use_all(void);'
    echo 'void use_all(void)'
    echo '{'
    find "$TMP/gen" -name '*.pb-c.h' | LC_ALL=C sort | while read -r header; do
        # struct and macro stand in the same order in a header
        sed -n 's/^struct \([A-Za-z0-9_]*\)$/\1/p' "$header" >"$TMP/structs"
        sed -n 's/^#define \(.*__INIT\) .*/\1/p' "$header" >"$TMP/inits"
        paste -d ' ' "$TMP/structs" "$TMP/inits" |
            sed 's/\(.*\) \(.*\)/    { \1 m = \2; (void)m; }/'
    done
    echo '}'
} >"$TMP/gen/use_all.c"
[ "$(grep -c '(void)m' "$TMP/gen/use_all.c")" -gt 50 ] || fail "the list of _INIT macros is short"

# compile NAME COMMAND...: compiles every source with it.
compile() {
    name=$1
    shift
    if ! command -v "$1" >/dev/null; then
        echo "left out: $1 is not installed"
        return 0
    fi
    mkdir "$TMP/$name"
    (cd "$TMP/$name" && "$@" $common -I"$TMP/gen" -I"$root/rpc/include" -c \
        $(find "$TMP/gen" -name '*.c' ! -path '*/google/protobuf/*') &&
        "$@" $common -I"$TMP/gen" -I"$root/rpc/include" -c \
            $(find "$TMP/gen/google" -name '*.c')) || fail "$name: generated code has warnings"
    compiled="$compiled $name"
}

compiled=
compile gcc-c11 gcc -std=c11 -O2 $only_c
compile clang-c11 clang -std=c11 -O0 $only_c
compile g++-11 g++ -std=c++11 -O0 -x c++
compile g++-17 g++ -std=c++17 -O2 -x c++
compile clang++-11 clang++ -std=c++11 -O0 -x c++
compile clang++-17 clang++ -std=c++17 -O0 -x c++
[ -n "$compiled" ] || fail "no compiler is installed"
echo "compiled without a warning:$compiled"

# The version guards stop the compiler, and say what to do.
guard() {
    printf '%s\n#include "services.tern.h"\n' "$1" >"$TMP/guard.c"
    if "${CC:-gcc}" -std=c11 -fsyntax-only -I"$TMP/gen" -I"$root/rpc/include" "$TMP/guard.c" \
        2>"$TMP/guard.err"; then
        fail "the guard let this pass: $1"
    fi
    grep -q "$2" "$TMP/guard.err" || fail "the guard does not say \"$2\": $(cat "$TMP/guard.err")"
}
guard '#include <tern/stub.h>
#undef TERN_CODEGEN_ABI
#define TERN_CODEGEN_ABI 0' 'update libtern'
guard '#include <tern/stub.h>
#undef TERN_CODEGEN_ABI' 'update libtern'
guard '#include <tern/stub.h>
#undef TERN_CODEGEN_ABI
#define TERN_CODEGEN_ABI 1000' 'generate this file again'
guard '#include <protobuf-c/protobuf-c.h>
#undef PROTOBUF_C_VERSION_NUMBER
#define PROTOBUF_C_VERSION_NUMBER 1002000' 'update libprotobuf-c'
guard '#include <protobuf-c/protobuf-c.h>
#undef PROTOBUF_C_MIN_COMPILER_VERSION
#define PROTOBUF_C_MIN_COMPILER_VERSION 2000000' 'generate this file again'
