#!/bin/sh
# What cannot be generated is refused through protoc, with file, element and reason, and no file is
# written; a conversation that is none ends with a message and exit status 1.
. "$(dirname "$0")/lib.sh"

# refused NAME PATTERN...: NAME.proto (standard input) is refused, and the message has all patterns.
# A file that is fine goes along, and must not be written either.
cat >"$TMP/fine.proto" <<'END'
syntax = "proto3";
message Fine {}
END
refused() {
    name=$1
    shift
    cat >"$TMP/$name.proto"
    rm -rf "$TMP/out"
    mkdir "$TMP/out"
    if (cd "$TMP" && protoc -I. --plugin=protoc-gen-tern="$plugin" \
        ${TERN_OPT:+--tern_opt="$TERN_OPT"} --tern_out="$TMP/out" fine.proto "$name.proto") \
        >"$TMP/err" 2>&1; then
        fail "$name.proto was not refused"
    fi
    for pattern in "$@"; do
        grep -qF -e "$pattern" "$TMP/err" ||
            fail "$name.proto: no \"$pattern\" in: $(cat "$TMP/err")"
    done
    [ -z "$(ls "$TMP/out")" ] || fail "$name.proto was refused, but files were written"
}

refused group "group.proto" "pkg.M.result" "group" <<'END'
syntax = "proto2";
package pkg;
message M { repeated group Result = 1 { optional int32 n = 1; } }
END
refused base "base.proto" "pkg.M.base" "base_field_name" <<'END'
syntax = "proto3";
package pkg;
message M { int32 base = 1; }
END
refused fields "fields.proto" "field pkg.M.fooBar" "field pkg.M.FOOBAR" '"foobar"' <<'END'
syntax = "proto2";
package pkg;
message M { optional int32 fooBar = 1; optional int32 FOOBAR = 2; }
END
refused has "field pkg.M.a" "field pkg.M.has_a" '"has_a"' <<'END'
syntax = "proto2";
package pkg;
message M { optional int32 a = 1; optional string has_a = 2; }
END
refused count "field pkg.M.a" "field pkg.M.n_a" '"n_a"' <<'END'
syntax = "proto3";
package pkg;
message M { repeated int32 a = 1; int32 n_a = 2; }
END
refused optional_has "field pkg.M.a" "field pkg.M.has_a" '"has_a"' <<'END'
syntax = "proto3";
package pkg;
message M { optional int32 a = 1; string has_a = 2; }
END
refused case "oneof pkg.M.x" "field pkg.M.x_case" '"x_case"' <<'END'
syntax = "proto3";
package pkg;
message M { int32 x_case = 1; oneof x { int32 y = 2; } }
END
refused types "message pkg.foo_bar" "message pkg.FooBar" "Pkg__FooBar" <<'END'
syntax = "proto3";
package pkg;
message foo_bar {}
message FooBar {}
END
refused no_name "no_name.proto" 'message _1 would be called "1" in C' "give the file a package" <<'END'
syntax = "proto3";
message _1 {}
END
refused empty_name 'enum __ would be called "" in C' <<'END'
syntax = "proto3";
enum __ { X = 0; }
END
refused enums "enum pkg.ab_c" "enum pkg.AbC" '"Pkg__AbC"' <<'END'
syntax = "proto2";
package pkg;
enum ab_c { X = 0; }
enum AbC { Y = 0; }
END
refused enum_value "oneof pkg.M.kind" "enum value pkg.M.Kind.NOT_SET" \
    "PKG__M__KIND__NOT_SET" <<'END'
syntax = "proto3";
package pkg;
message M {
  enum Kind { NOT_SET = 0; }
  oneof kind { int32 a = 1; }
}
END
refused methods "method pkg.Foo.BarBaz" "method pkg.FooBar.Baz" "pkg_foo_bar_baz" "rename" <<'END'
syntax = "proto3";
package pkg;
message M {}
service Foo { rpc BarBaz(M) returns (M); }
service FooBar { rpc Baz(M) returns (M); }
END
refused service_method "service pkg.FooBar" "method pkg.Foo.Bar" "pkg_foo_bar" <<'END'
syntax = "proto3";
package pkg;
message M {}
service Foo { rpc Bar(M) returns (M); }
service FooBar { rpc Baz(M) returns (M); }
END
refused two_methods "method pkg.S.Get" "method pkg.S.get" <<'END'
syntax = "proto3";
package pkg;
message M {}
service S { rpc Get(M) returns (M); rpc get(M) returns (M); }
END

refused two_streams "method pkg.Foo.BarBaz" "method pkg.FooBar.Baz" '"pkg_foo_bar_baz"' <<'END'
syntax = "proto3";
package pkg;
message M {}
service Foo { rpc BarBaz(M) returns (stream M); }
service FooBar { rpc Baz(stream M) returns (M); }
END
refused members "method pkg.S.Delete" "method pkg.S.Delete_" '"delete_"' <<'END'
syntax = "proto3";
package pkg;
message M {}
service S { rpc Delete(M) returns (M); rpc Delete_(M) returns (M); }
END
# Names with two underscores are the generator's: they give way to nothing.
refused twice "method pkg.S.List" "method pkg.S.List__Call" '"pkg_s_list__call"' <<'END'
syntax = "proto3";
package pkg;
message M {}
service S {
  rpc List(M) returns (stream M);
  rpc ListCall(M) returns (M);
  rpc List__Call(M) returns (M);
}
END
refused table "service pkg.S" "method pkg.S._Methods" '"pkg_s__methods"' <<'END'
syntax = "proto3";
package pkg;
message M {}
service S { rpc _Methods(M) returns (M); }
END
refused trampoline "method pkg.S.Get" "method pkg.S.Get__Invoke" '"pkg_s_get__invoke"' <<'END'
syntax = "proto3";
package pkg;
message M {}
service S { rpc Get(M) returns (M); rpc Get__Invoke(M) returns (M); }
END

# together NAME OTHER PATTERN...: two files that are fine alone are refused in one run, in whatever
# order they are named.
together() {
    one=$1
    other=$2
    shift 2
    for order in "$one.proto $other.proto" "$other.proto $one.proto"; do
        rm -rf "$TMP/out"
        mkdir "$TMP/out"
        if (cd "$TMP" && protoc -I. --plugin=protoc-gen-tern="$plugin" --tern_out="$TMP/out" \
            $order) >"$TMP/err" 2>&1; then
            fail "$order were not refused"
        fi
        for pattern in "$@"; do
            grep -qF -e "$pattern" "$TMP/err" || fail "$order: no \"$pattern\" in: $(cat "$TMP/err")"
        done
        [ -z "$(ls "$TMP/out")" ] || fail "$order were refused, but files were written"
    done
    for name in $one $other; do
        (cd "$TMP" && protoc -I. --plugin=protoc-gen-tern="$plugin" --tern_out="$TMP/out" \
            "$name.proto") || fail "$name.proto alone was refused"
    done
}
cat >"$TMP/one.proto" <<'END'
syntax = "proto3";
package pkg;
message Ask {}
service Foo { rpc List(Ask) returns (stream Ask); }
END
cat >"$TMP/other.proto" <<'END'
syntax = "proto3";
package pkg;
message Answer {}
service FooListCall { rpc Get(Answer) returns (Answer); }
END
together one other "one.proto" "method pkg.Foo.List" "service pkg.FooListCall" "other.proto" \
    '"pkg_foo_list_call"' "different runs"
cat >"$TMP/small.proto" <<'END'
syntax = "proto3";
package pkg;
message foo_bar {}
END
cat >"$TMP/capital.proto" <<'END'
syntax = "proto3";
package pkg;
message FooBar {}
END
together small capital "message pkg.foo_bar" "message pkg.FooBar" '"Pkg__FooBar"' "different runs"

refused unary_callback "method pkg.S.Talk" "method pkg.S.Talk__CallDone" '"pkg_s_talk__call_done"' <<'END'
syntax = "proto3";
package pkg;
message M {}
service S { rpc Talk(M) returns (M); rpc Talk__CallDone(M) returns (M); }
END
refused stream_callback "method pkg.S.Talk" '"pkg_s_talk__call_received"' <<'END'
syntax = "proto3";
package pkg;
message M {}
service S { rpc Talk(M) returns (stream M); rpc Talk__CallReceived(M) returns (M); }
END

# messages=no says nothing about messages, which are protoc-gen-c's affair.
(cd "$TMP" && protoc -I. --plugin=protoc-gen-tern="$plugin" --tern_out=messages=no:"$TMP" \
    group.proto types.proto) || fail "messages=no must not look at messages"

# --- options ---
option() {
    TERN_OPT=$1
    shift
    refused fine "$@" <"$TMP/fine.proto.txt"
    TERN_OPT=
}
cp "$TMP/fine.proto" "$TMP/fine.proto.txt"
option colour=red 'unknown option "colour=red"' 'messages=yes|no' 'prefix=NAME'
option messages=maybe 'messages' '"maybe"' 'yes or no'
option messages 'messages' 'yes or no'
option prefix=9lives 'prefix' '"9lives"'
option 'prefix=a-b' 'prefix' '"a-b"'
option prefix= 'prefix' '""'
option messages=no,prefix=ok_,Prefix=x 'unknown option "Prefix=x"'

# --- the program itself ---
# ends STATUS PATTERN COMMAND...
ends() {
    status=$1
    pattern=$2
    shift 2
    got=0
    "$@" >"$TMP/text" 2>&1 || got=$?
    [ "$got" = "$status" ] || fail "$*: exit status $got instead of $status"
    grep -q -e "$pattern" "$TMP/text" || fail "$*: no \"$pattern\" in: $(cat "$TMP/text")"
}
ends 0 'protoc --tern_out=DIR' "$plugin" --help
ends 0 '^protoc-gen-tern [0-9]' "$plugin" --version
ends 1 'unknown argument "file.proto"' "$plugin" file.proto
ends 1 'not a CodeGeneratorRequest' sh -c "\"$plugin\" </dev/null"
ends 1 'not a CodeGeneratorRequest' sh -c "echo hello world | \"$plugin\""
ends 1 'not a CodeGeneratorRequest' sh -c "head -c 100000 /dev/zero | \"$plugin\""
ends 1 'cannot read the request' sh -c "\"$plugin\" <\"$TMP\""
if command -v script >/dev/null; then
    ends 1 'It is started by protoc' script -qec "$plugin" /dev/null </dev/null
else
    echo "left out: running on a terminal, because script (bsdutils) is not installed"
fi
if [ -c /dev/full ]; then
    printf '#!/bin/sh\nexec cat >"%s"\n' "$TMP/request" >"$TMP/save"
    chmod +x "$TMP/save"
    (cd "$TMP" && protoc -I. --plugin=protoc-gen-save="$TMP/save" --save_out="$TMP" fine.proto) \
        >/dev/null 2>&1 || true # what is saved is the request; there is no response
    [ -s "$TMP/request" ] || fail "protoc sent no request"
    ends 1 'cannot write the response' sh -c "\"$plugin\" <\"$TMP/request\" >/dev/full"
fi
