# What the scripts in this folder share. $B is the build folder; everything is written to $TMP,
# which goes away at the end.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
: "${B:?B must be the absolute path of the build folder}"
plugin=$B/bin/protoc-gen-tern
include=${PROTO_INCLUDE:-/usr/include}
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

[ -x "$plugin" ] || fail "$plugin is not there: run make first"

# generate OUT FILE...: runs protoc with the plugin; TERN_OPT holds options for it. Unless they say
# otherwise descriptors are not embedded: those of imports are other people's and change with protoc.
generate() {
    out=$1
    shift
    mkdir -p "$out"
    (cd "$here" && protoc -I. -I"$include" --plugin=protoc-gen-tern="$plugin" \
        --tern_opt="${TERN_OPT:-reflection=no}" --tern_out="$out" "$@")
}

# The .proto files of this folder, and those that come with protoc.
golden_protos() {
    (cd "$here" && ls ./*.proto | sed 's|^\./||' | LC_ALL=C sort)
}
installed_protos() {
    (cd "$include" && ls google/protobuf/*.proto google/protobuf/compiler/plugin.proto)
}
