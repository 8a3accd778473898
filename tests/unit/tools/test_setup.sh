#!/bin/bash
# tools/setup with a made-up package system: nothing to do, something to do as root and with sudo,
# and every way in which it cannot be done.
set -u
cd "$(dirname "$0")/../../.." || exit 1
SETUP=$PWD/tools/setup
T=$(mktemp -d) || exit 1
trap 'rm -rf "$T"' EXIT
failed=0 n=0

# Only these programs exist for the script. What is installed stands in $T/installed, calls of
# apt-get in $T/calls.
mkdir "$T/bin"
for tool in bash sed grep fold tail mktemp rm env cat; do
    ln -s "$(command -v $tool)" "$T/bin/$tool"
done

fake() { # name, body
    printf '#!/bin/bash\n%s\n' "$2" >"$T/bin/$1"
    chmod +x "$T/bin/$1"
}

fresh() { # user id
    rm -f "$T/calls" "$T/bin/sudo"
    fake id "echo $1"
    fake apt-cache 'echo "Depends: clang-17 (>= 17~)"'
    fake dpkg-query 'case $3 in
        *Depends*) grep -qx clang '"$T"'/installed && echo "clang-17"; exit ;;
        esac
        while read -r package; do echo "$package installed"; done <'"$T"'/installed
        echo "valgrind config-files"; exit 1'
    fake apt-get 'for last; do [[ $last == -* ]] || words+=("$last"); done
        echo "${words[*]}" >>'"$T"'/calls
        case " $* " in *" install "*) for word in "${words[@]:3}"; do
            echo "$word" >>'"$T"'/installed; done ;; esac'
    : >"$T/installed"
}

run() { # expected exit status, expected text or ""
    local rc=0
    n=$((n + 1))
    PATH=$T/bin bash "$SETUP" >"$T/out" 2>&1 || rc=$?
    if [ "$rc" != "$1" ] || { [ -n "$2" ] && ! grep -qF -- "$2" "$T/out"; }; then
        failed=$((failed + 1))
        echo "FAIL (line ${BASH_LINENO[0]}): status $rc instead of $1, or nothing of '$2' in:"
        cat "$T/out"
    fi
}

expect() { # what, command
    n=$((n + 1))
    if ! "${@:2}" >/dev/null; then
        failed=$((failed + 1))
        echo "FAIL (line ${BASH_LINENO[0]}): $1"
        cat "$T/calls" "$T/out" 2>/dev/null
    fi
}

# Root, nothing installed: lists first, then everything, with the runtime of the clang there is.
fresh 0
run 0 "installing gcc g++"
expect "update comes first" grep -q '^DPkg.* update$' <(head -n 1 "$T/calls")
expect "the runtime follows clang's version" grep -qx libclang-rt-17-dev "$T/installed"
expect "a package that was removed is installed" grep -qx valgrind "$T/installed"

# All there: silent, and apt-get is not called.
rm "$T/calls"
run 0 ""
expect "it is silent" test ! -s "$T/out"
expect "apt-get is left alone" test ! -e "$T/calls"

# One missing: only that one.
sed -i '/^libcmocka-dev$/d' "$T/installed"
run 0 "installing libcmocka-dev"
expect "only what is missing" grep -q 'install libcmocka-dev$' "$T/calls"

fresh 1000
run 1 "takes root or sudo"
expect "the packages are named" grep -q libnghttp2-dev "$T/out"
expect "nothing was tried" test ! -e "$T/calls"

fresh 1000
fake sudo 'echo sudo >>'"$T"'/sudo; exec "$@"'
run 0 "installing"
expect "sudo was used" test -s "$T/sudo"

fresh 0
fake apt-get 'echo "no network"; exit 100'
run 1 "'apt-get update' failed"
expect "its output is shown" grep -q "no network" "$T/out"

fresh 0
fake apt-get 'case " $* " in *" update "*) exit 0 ;; esac; echo "no such package"; exit 100'
run 1 "'apt-get install' failed"

fresh 0
fake apt-get 'exit 0'
run 1 "still missing"

fresh 0
rm "$T/bin/dpkg-query"
run 1 "not a Debian system"
expect "the packages are named" grep -q libprotobuf-c-dev "$T/out"

echo "$n checks, $failed failed"
[ "$failed" = 0 ]
