"""Compares what Tern and grpc-go send for the same service config: which attempts of a call reach the
server (grpc-previous-rpc-attempts), with what, and with what status it ends. `make interop` runs it.

Each scenario is a service config and a list of calls. A call carries a script in its metadata, a step for
each attempt: a status code, then "h" (headers go before the status), "m" (a message does), "p<text>"
(grpc-retry-pushback-ms in the trailers). The server carries it out and prints a line for each attempt; the
client prints how each call ended. Both come from grpc-go calling grpc-go first; Tern calling grpc-go, grpc-go
calling Tern and Tern calling Tern have to print the same. Times are not looked at.

Hedging is not compared: grpc-go has none. Nor is what a client does when it may repeat an attempt that no server
has seen (GOAWAY, REFUSED_STREAM): grpc-go's server cannot be made to send them for a given call;
tests/integration/test_goodbye.c and test_odd_servers.c have these."""

import json
import os
import re
import subprocess
import time

SECONDS_MAX = 30
START_SECONDS_MAX = 20
PAIRINGS = (("tern", "go"), ("go", "tern"), ("tern", "tern"))
NAMES = {"tern": "Tern", "go": "grpc-go"}

UNARY, BIDI, OTHER = "/attempts.Test/Unary", "/attempts.Test/Bidi", "/attempts.Other/Unary"


def retry(attempts=4, codes=("UNAVAILABLE",), names=({},), **more):
    """A service config with one retryPolicy."""
    policy = {"maxAttempts": attempts, "initialBackoff": "0.01s", "maxBackoff": "0.05s",
              "backoffMultiplier": 2, "retryableStatusCodes": list(codes)}
    return {"methodConfig": [{"name": list(names), "retryPolicy": policy, **more}]}


def throttled(tokens, ratio, attempts=2):
    return {**retry(attempts), "retryThrottling": {"maxTokens": tokens, "tokenRatio": ratio}}


def by_method():
    """The method's own config, its service's, everybody's."""
    def entry(name, attempts):
        return {**retry(attempts)["methodConfig"][0], "name": [name]}
    return {"methodConfig": [
        entry({"service": "attempts.Test", "method": "Unary"}, 2),
        entry({"service": "attempts.Test"}, 3),
        entry({}, 4),
    ]}


def call(script, path=UNARY, messages=1, size=5, timeout_ms=0):
    return f"{path} {script} {messages} {size} {timeout_ms}"


# name: (service config, calls)
SCENARIOS = {
    "succeeds at once": (retry(), [call("0")]),
    "succeeds at the third": (retry(), [call("14,14,0")]),
    "never succeeds": (retry(3), [call("14")]),
    "at most five attempts": (retry(9), [call("14")]),
    "other code": (retry(), [call("5"), call("13"), call("14,5")]),
    "several codes": (retry(5, ("UNAVAILABLE", "ABORTED", 8)), [call("14,10,8,0"), call("9")]),
    "deadline code": (retry(3, ("DEADLINE_EXCEEDED",)), [call("4,0"), call("4,0", timeout_ms=20000)]),
    "no policy": ({}, [call("14,0"), call("14,0", BIDI)]),
    "policy of another service": (retry(names=({"service": "attempts.None"},)), [call("14,0")]),
    "method, service, default": (by_method(), [call("14"), call("14", BIDI), call("14", OTHER)]),
    "pushback": (retry(), [call("14p20,14p0,0")]),
    "pushback beyond the last": (retry(2), [call("14p5")]),
    "pushback negative": (retry(), [call("14p-1,0"), call("14,14p-5,0")]),
    "pushback garbage": (retry(), [call("14psoon,0"), call("14p1.5,0"), call("14p99999999999999999999,0")]),
    "headers commit": (retry(), [call("14h,0", BIDI), call("14,14h,0", BIDI)]),
    "message commits": (retry(), [call("14m,0", BIDI), call("14,14m,0", BIDI)]),
    "stream": (retry(), [call("14,14,0", BIDI, 3, 100), call("14", BIDI, 3, 100),
                         call("5,0", BIDI, 3, 100)]),
    "stream without messages": (retry(), [call("14,0", BIDI, 0, 0)]),
    "large messages": (retry(), [call("14,0", size=200000), call("14,0", BIDI, 4, 50000)]),
    "timeout of the config": (retry(3, timeout="20s"), [call("14,0"), call("14,0", BIDI)]),
    "deadline before the next": (retry(), [call("14p20000,0", timeout_ms=300)]),
    "throttled": (throttled(4, 0.5), [call("14,0")] * 3 + [call("14")] * 4 + [call("14,0")] * 2),
    "throttled, then refilled": (throttled(4, 1), [call("14")] * 3 + [call("0")] * 4 + [call("14,0")] * 3),
    "throttled by other codes": (throttled(2, 0.1), [call("5")] * 4 + [call("14,0")] * 2),
    "throttled by pushback": (throttled(4, 0.1), [call("14p-1")] * 3 + [call("14,0")] * 2),
    "throttled within a call": (throttled(4, 0.1, 5), [call("14"), call("14,0")]),
}


# What Tern's server does not send, as its interface takes a number.
ONLY_FROM_GO = ("pushback garbage",)

# Where the next attempt would come after the deadline, grpc-go waits for that and answers DEADLINE_EXCEEDED. Tern
# answers at once what the last attempt said: the wait could change nothing.
ENDS_DIFFER = ("deadline before the next",)


def normal(line):
    """grpc-go puts words of its own before the message of the last attempt."""
    return re.sub(r"max retries exhausted: failed after \d+ attempts: rpc error: code = \w+ desc = ", "", line)


class Server:
    def __init__(self, program, log_name):
        self.log_name = log_name
        with open(log_name, "w") as log:
            self.process = subprocess.Popen([program, "serve"], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        ends = time.monotonic() + START_SECONDS_MAX
        while True:
            said = re.search(r"listening on port (\d+)", self.text())
            if said:
                break
            if time.monotonic() > ends or self.process.poll() is not None:
                raise RuntimeError(f"{program} serve did not start: see {log_name}")
            time.sleep(0.02)
        self.port = said[1]

    def text(self):
        with open(self.log_name) as file:
            return file.read()

    def lines(self, prefix):
        """What came of the calls whose names begin so."""
        return [line for line in self.text().splitlines() if line.startswith(prefix)]

    def end(self):
        self.process.terminate()
        return self.process.wait(SECONDS_MAX)


def play(out, client, server, number, scenario):
    """Makes the calls of a scenario; returns what server and client printed."""
    config, calls = SCENARIOS[scenario]
    prefix = f"{client}-{number}-"
    file_name = os.path.join(out, "logs", f"attempts-{number}.json")
    with open(file_name, "w") as file:
        json.dump(config, file)
    text = "".join(f"{prefix}{i} {line}\n" for i, line in enumerate(calls))
    program = os.path.join(out, f"{client}-attempts")
    try:
        said = subprocess.run([program, "call", f"127.0.0.1:{server.port}", file_name], input=text, text=True,
                              capture_output=True, timeout=SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        return [f"the client took more than {SECONDS_MAX} s"]
    if said.returncode:
        return [f"the client ended with {said.returncode}: {said.stderr.strip()}"]
    ends = [] if scenario in ENDS_DIFFER else said.stdout.splitlines()
    lines = server.lines(prefix) + ends
    return [normal(line.replace(prefix, "", 1).strip()) for line in lines]


def run(out, only):
    """Returns (passed, [what failed])."""
    servers, passed, failed = {}, 0, []
    wanted = [s for s in SCENARIOS if only in "attempts " + s]
    if not wanted:
        return 0, []
    try:
        for peer in ("go", "tern"):
            servers[peer] = Server(os.path.join(out, f"{peer}-attempts"),
                                   os.path.join(out, "logs", f"{peer}-attempts.log"))
        for number, scenario in enumerate(SCENARIOS):
            if scenario not in wanted:
                continue
            expected = play(out, "go", servers["go"], number, scenario)
            for client, peer in PAIRINGS:
                if peer == "tern" and scenario in ONLY_FROM_GO:
                    continue
                # the same client's calls to two servers need names of their own: they are counted apart
                got = play(out, client, servers[peer], number, scenario)
                if got == expected:
                    passed += 1
                    continue
                differ = "\n".join(f"    grpc-go {a or '-'}\n    here    {b or '-'}" for a, b in
                                   zip(expected + [""] * len(got), got + [""] * len(expected)) if a != b)
                failed.append(f"attempts, {scenario}: {NAMES[client]} > {NAMES[peer]} differs from grpc-go > "
                              f"grpc-go:\n{differ}")
    finally:
        for peer, server in servers.items():
            status = server.end()
            if peer == "tern" and status:
                failed.append(f"attempts: Tern's server ended with {status}: see {server.log_name}")
    return passed, failed


if __name__ == "__main__":
    import sys
    n, wrong = run(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
    print("\n".join("FAILED " + line for line in wrong))
    print(f"{n} passed, {len(wrong)} failed")
    sys.exit(1 if wrong else 0)
