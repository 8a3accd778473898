#!/bin/sh
# Messages have the names, layout and tables that protoc-gen-c gives them, for the .proto files of
# this folder and those that come with protoc: the declarations of both headers are compared, and so
# is what two programs, one with each generator's files, print of all tables (dump.c).
#
# Left out are optional3.proto, which protoc-gen-c refuses, floats.proto and keywords.proto, for
# which it makes C that does not compile, and pbc_none.proto, for which neither makes anything.
#
# Compiled as gnu11: in c11 trigraphs are on, and protoc-gen-c does not escape them in defaults.
. "$(dirname "$0")/lib.sh"

command -v protoc-gen-c >/dev/null ||
    fail "protoc-gen-c is not installed: apt install protobuf-c-compiler"
cc=${CC:-gcc}
left_out="-e optional3 -e floats -e keywords -e pbc_none\."
protos="$(golden_protos | grep -v $left_out) $(installed_protos)"

generate "$TMP/ours" $protos
mkdir "$TMP/theirs"
(cd "$here" && protoc -I. -I"$include" --c_out="$TMP/theirs" $protos)

# objects FOLDER: compiles every message file of one generator.
objects() {
    (cd "$TMP/$1" && find . -name '*.pb-c.c' | while read -r file; do
        "$cc" -std=gnu11 -w -O0 -I. -c -o "${file%.c}.o" "$file" || exit 1
    done && find . -name '*.pb-c.o' -exec ar qc all.a {} +)
}
objects ours || fail "the output of protoc-gen-tern does not compile"
objects theirs || fail "the output of protoc-gen-c does not compile"

count=0
for proto in $protos; do
    base=${proto%.proto}
    for side in ours theirs; do
        header=$TMP/$side/$base.pb-c.h
        /usr/bin/python3 "$here/declarations.py" "$header" >"$TMP/$side.declarations"
        /usr/bin/python3 "$here/declarations.py" --tables "$TMP/theirs/$base.pb-c.h" \
            >"$TMP/tables.inc"
        "$cc" -std=gnu11 -w -O0 -I"$TMP/$side" -include "$header" \
            -DTABLES="\"$TMP/tables.inc\"" -o "$TMP/$side.dump" "$here/dump.c" "$TMP/$side/all.a" \
            -lprotobuf-c || fail "$proto: the comparing program does not compile with $side"
        "$TMP/$side.dump" >"$TMP/$side.out" ||
            fail "$proto: the comparing program failed with $side"
    done
    [ -s "$TMP/theirs.declarations" ] || [ "$base" = reexport ] || fail "$proto: nothing to compare"
    diff -u "$TMP/theirs.declarations" "$TMP/ours.declarations" ||
        fail "$proto: the headers declare different things (-: protoc-gen-c)"
    diff -u "$TMP/theirs.out" "$TMP/ours.out" ||
        fail "$proto: the tables say different things (-: protoc-gen-c)"
    count=$((count + 1))
done
echo "$count files have the layout of protoc-gen-c"
