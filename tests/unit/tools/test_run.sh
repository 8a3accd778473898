#!/bin/bash
# tests/run itself: what it counts, shows and returns for tests of every fate.
set -u
cd "$(dirname "$0")/../../.." || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

check() { # what, expected, seen
    if [ "$2" != "$3" ]; then
        echo "$1: expected '$2', got '$3'"
        failures=$((failures + 1))
    fi
}
has() { # what, pattern
    if ! grep -q -- "$2" "$work/out"; then
        echo "$1: nothing like '$2' in:"
        cat "$work/out"
        failures=$((failures + 1))
    fi
}
# Not the variables of the run that this test is a part of.
run() {
    env -u ONLY -u TEST_TIMEOUT -u MODE B="$work/build" "$@" >"$work/out" 2>&1
    rc=$?
}
script() { # name; its text on stdin
    cat >"$work/$1"
    chmod +x "$work/$1"
}

script test_ok.sh <<<'exit 0'
script test_bad.sh <<<'echo it broke; exit 3'
script test_signal.sh <<<'kill -SEGV $$'
script test_skip.py <<<'print("no such device here"); raise SystemExit(77)'
script test_silent.sh <<<'exit 77'
script test_slow.sh <<<'sleep 60 & echo $! >"$B/child"; sleep 60'
script test_deaf.sh <<<'echo $B $MODE; read -r line && exit 1; exit 0'
# What cmocka prints, in the two spellings of its versions.
script test_cases <<'END'
#!/bin/sh
echo '[  PASSED  ] 5 test(s).'
echo '[  SKIPPED ] 1 test(s), listed below:'
END
script test_cases_failed <<'END'
#!/bin/sh
echo '[  PASSED  ] 2 test(s).'
echo '[  FAILED  ] tests: 3 test(s), listed below:'
exit 3
END
script test_no_case <<'END'
#!/bin/sh
exit 0
END

run tests/run "$work/test_ok.sh" "$work/test_cases"
check "all fine: exit status" 0 $rc
check "all fine: last line" "6 passed, 0 failed, 1 skipped" "$(tail -n 1 "$work/out")"
check "no terminal: no escapes" 0 "$(grep -c $'[\033\r]' "$work/out")"

run tests/run "$work"/test_{ok,bad,signal,silent}.sh "$work/test_skip.py" \
    "$work"/test_{cases,cases_failed,no_case}
check "failures: exit status" 1 $rc
check "failures: last line" "8 passed, 7 failed, 2 skipped" "$(tail -n 1 "$work/out")"
has "output of a failure" '| it broke'
has "signal" 'test_signal.sh .*signal SEGV'
has "reason of a skip" '^skip .*no such device here'
has "skip without a reason" '^FAIL .*test_silent.sh .*without giving a reason'
has "program without cases" '^FAIL .*test_no_case .*no test case ran'

run env TEST_TIMEOUT=1 tests/run "$work/test_slow.sh"
check "timeout: exit status" 1 $rc
has "timeout" 'no end within 1 s'
# Gone, or dead and only waiting for an init that collects it.
case $(sed -n 's/^State:[[:space:]]*//p' "/proc/$(cat "$work/build/child")/status" 2>/dev/null) in
'' | Z*) ;;
*)
    echo "timeout: the child of a test is still there"
    failures=$((failures + 1))
    ;;
esac

run env ONLY=_ok tests/run "$work"/test_{ok,bad}.sh
check "ONLY" "0 1 passed, 0 failed, 0 skipped" "$rc $(tail -n 1 "$work/out")"
run env ONLY=absent tests/run "$work/test_ok.sh"
check "nothing ran" "1 0 passed, 0 failed, 0 skipped" "$rc $(tail -n 1 "$work/out")"
has "nothing ran" 'none of 1 matches ONLY=absent'
run env TEST_TIMEOUT=soon tests/run "$work/test_ok.sh"
check "bad TEST_TIMEOUT" 2 $rc

run env MODE=asan tests/run "$work/test_deaf.sh"
check "stdin is empty" 0 $rc
check "log and environment" "$work/build asan" "$(cat "$work"/build/test-logs/*test_deaf.sh.log)"

# Two at a time, but never beside a serial one: each notes what else is running.
for name in a b c d_serial e; do
    script "test_$name.sh" <<'END'
#!/bin/bash
touch "$B/on.$$"
sleep 0.2
ls "$B"/on.* | wc -l >>"$B/seen.$(basename "$0")"
sleep 0.1
rm "$B/on.$$"
END
done
sed -i '2i# Serial, says the comment.' "$work/test_e.sh"
run tests/run "$work"/test_{a,b,c,d_serial,e}.sh
check "parallel: exit status" 0 $rc
check "serial by name" 1 "$(cat "$work/build/seen.test_d_serial.sh")"
check "serial by comment" 1 "$(cat "$work/build/seen.test_e.sh")"
for name in a b c; do
    n=$(cat "$work/build/seen.test_$name.sh")
    [ "$n" -le 2 ] || check "at most two at a time" "1 or 2" "$n"
done

[ "$failures" = 0 ]
