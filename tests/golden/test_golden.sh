#!/bin/sh
# What is generated for the .proto files of this folder is exactly what stands in expected/,
# whatever the order of the files, all at once or one by one. UPDATE=1 rewrites expected/.
. "$(dirname "$0")/lib.sh"

generate "$TMP/all" $(golden_protos)
if [ "${UPDATE:-0}" = 1 ]; then
    rm -rf "$here/expected"
    cp -r "$TMP/all" "$here/expected"
    echo "expected/ was rewritten: look at the difference before it is committed"
    exit 0
fi
diff -ru "$here/expected" "$TMP/all" ||
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
TERN_OPT=messages=no generate "$TMP/stubs" services.proto importer.proto
[ "$(cd "$TMP/stubs" && ls | tr '\n' ' ')" = \
    "importer.tern.c importer.tern.h services.tern.c services.tern.h " ] ||
    fail "messages=no wrote: $(ls "$TMP/stubs")"
for file in "$TMP"/stubs/*; do
    cmp "$file" "$here/expected/$(basename "$file")" || fail "messages=no changes a stub file"
done
TERN_OPT=prefix=acme_ generate "$TMP/prefixed" services.proto
cmp "$TMP/prefixed/services.pb-c.h" "$here/expected/services.pb-c.h" ||
    fail "prefix= changes messages"
cmp "$TMP/prefixed/services.pb-c.c" "$here/expected/services.pb-c.c" ||
    fail "prefix= changes messages"
sed 's/golden_services_v1_/acme_golden_services_v1_/g' "$here/expected/services.tern.h" |
    cmp - "$TMP/prefixed/services.tern.h" ||
    fail "prefix=acme_ does not go before every stub symbol"
