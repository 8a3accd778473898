#!/bin/sh
# What is generated for the .proto files of this folder is exactly what stands in expected/,
# whatever the order of the files, all at once or one by one. UPDATE=1 rewrites expected/.
. "$(dirname "$0")/lib.sh"

generate "$TMP/all" $(golden_protos)
if [ "${UPDATE:-0}" = 1 ]; then
    rm -rf "$here/expected"
    cp -r "$TMP/all" "$here/expected"
    TERN_OPT=reflection=yes generate "$here/expected/reflection" services.proto
    rm "$here"/expected/reflection/*.h "$here"/expected/reflection/*.pb-c.c
    echo "expected/ was rewritten: look at the difference before it is committed"
    exit 0
fi
diff -ru -x reflection "$here/expected" "$TMP/all" ||
    fail "the output differs from expected/ (UPDATE=1 $0 rewrites it)"

generate "$TMP/again" $(golden_protos)
diff -r "$TMP/all" "$TMP/again" || fail "two runs over the same files differ"

generate "$TMP/reversed" $(golden_protos | tac)
diff -r "$TMP/all" "$TMP/reversed" || fail "the order of the files changes the output"

for proto in $(golden_protos); do
    generate "$TMP/single" "$proto"
done
diff -r "$TMP/all" "$TMP/single" || fail "a file generated alone comes out differently"

# messages=no leaves out the messages and changes nothing else; prefix= goes before stubs only.
TERN_OPT=messages=no,reflection=no generate "$TMP/stubs" services.proto importer.proto
[ "$(cd "$TMP/stubs" && ls | tr '\n' ' ')" = \
    "importer.tern.c importer.tern.h services.tern.c services.tern.h " ] ||
    fail "messages=no wrote: $(ls "$TMP/stubs")"
for file in "$TMP"/stubs/*; do
    cmp "$file" "$here/expected/$(basename "$file")" || fail "messages=no changes a stub file"
done
TERN_OPT=prefix=acme_,reflection=no generate "$TMP/prefixed" services.proto
cmp "$TMP/prefixed/services.pb-c.h" "$here/expected/services.pb-c.h" ||
    fail "prefix= changes messages"
cmp "$TMP/prefixed/services.pb-c.c" "$here/expected/services.pb-c.c" ||
    fail "prefix= changes messages"
sed 's/golden_services_v1_/acme_golden_services_v1_/g' "$here/expected/services.tern.h" |
    cmp - "$TMP/prefixed/services.tern.h" ||
    fail "prefix=acme_ does not go before every stub symbol"

# With reflection, the default, the descriptors are added and nothing else changes, whatever else is
# generated; comments and positions are not among them.
for opt in reflection=yes messages=yes; do
    rm -rf "$TMP/reflection"
    TERN_OPT=$opt generate "$TMP/reflection" services.proto comments.proto importer.proto
    for file in services.tern.c; do
        cmp "$here/expected/reflection/$file" "$TMP/reflection/$file" ||
            fail "$opt: $file differs from expected/reflection/ (UPDATE=1 $0 rewrites it)"
    done
done
cmp "$here/expected/services.tern.h" "$TMP/reflection/services.tern.h" ||
    fail "reflection=yes changes a header"
/usr/bin/python3 "$here/embedded.py" "$here" "$include" "$TMP/reflection" \
    services.proto comments.proto importer.proto || fail "other descriptors than protoc's are embedded"
