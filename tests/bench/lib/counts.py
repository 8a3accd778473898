"""Figures that do not depend on the machine's mood: malloc calls and instructions per unary call.

Both by difference: the same program makes N calls, then N + D; what the second run used more,
divided by D, is what one call in the steady state costs. Start, connection and warm-up cancel out.
"""
import re
import shutil
import struct
import tempfile
import pathlib

from lib import programs as p
from lib.processes import Failure, cpus, environment, run, server

MALLOC_CALLS = (1000, 11000)
CALLGRIND_CALLS = (500, 2500)
LIMIT_S = 300


def read_counter(path):
    data = path.read_bytes()
    return struct.unpack("Q", data)[0] if len(data) == 8 else 0


def counting_env(progs, path):
    return environment(progs.build, {"LD_PRELOAD": str(progs.peers / "count-malloc.so"),
                                     "COUNT_MALLOC_FILE": str(path)})


def mallocs(progs, side, server_name, client_name):
    """Calls of malloc, calloc and realloc per unary call of the server or of the client."""
    cpu, _ = cpus()
    plain = environment(progs.build)
    used = []
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "count"
        counting = counting_env(progs, path)
        with server(progs.servers()[server_name], cpu,
                    counting if side == "server" else plain) as (address, _):
            for count in MALLOC_CALLS:
                before = read_counter(path) if side == "server" else 0
                if side == "client":
                    path.unlink(missing_ok=True)
                run(progs.latency(client_name, address, count), cpu,
                    counting if side == "client" else plain, LIMIT_S)
                used.append(read_counter(path) - before)
    # A pool that grew in the shorter run alone makes the difference negative.
    return max(used[1] - used[0], 0) / (MALLOC_CALLS[1] - MALLOC_CALLS[0])


def callgrind(command, out):
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *command]


def total(path):
    """Instructions in a callgrind file ("summary: N" or "totals: N")."""
    found = re.search(r"^(?:summary|totals): (\d+)", path.read_text(errors="replace"), re.M)
    if not found:
        raise Failure(f"callgrind left no total in {path}")
    return int(found.group(1))


def instructions(progs, side, server_name, client_name, more=()):
    """Instructions per unary call of the server or of the client, as callgrind counts them; `more`
    are arguments of the client."""
    cpu, _ = cpus()
    env = environment(progs.build)
    used = []
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "callgrind.out"
        for count in CALLGRIND_CALLS:
            serve = progs.servers()[server_name]
            if side == "server":
                serve = callgrind(serve, out)
            with server(serve, cpu, env, start_limit_s=60) as (address, _):
                call = [*progs.latency(client_name, address, count), *more]
                run(callgrind(call, out) if side == "client" else call, cpu, env, LIMIT_S)
            used.append(total(out))
    return (used[1] - used[0]) / (CALLGRIND_CALLS[1] - CALLGRIND_CALLS[0])


def measure(progs, progress, with_tern):
    """{"malloc per call": {...}, "instructions per call": {...}}, what cannot be had is None."""
    result = {"malloc per call": {}, "instructions per call": {}}
    sides = [("server", p.ASYNC, p.GRPCXX), ("client", p.ASYNC, p.GRPCXX),
             ("server", p.BARE, p.GRPCXX)]
    if with_tern:
        sides = [("server", p.TERN, p.TERN), ("client", p.TERN, p.TERN)] + sides
    for side, server_name, client_name in sides:
        name = f"{server_name if side == 'server' else client_name} {side}"
        progress.step(f"counting malloc: {name}")
        result["malloc per call"][name] = round(
            mallocs(progs, side, server_name, client_name), 2)
        progress.step(f"counting instructions: {name}")
        if shutil.which("valgrind"):
            result["instructions per call"][name] = round(
                instructions(progs, side, server_name, client_name))
    return result


def resilience(progs, progress):
    """{"none": …, "all": …}: instructions of client and server together per unary call."""
    result = {}
    for what in p.RESILIENCE if shutil.which("valgrind") else []:
        progress.step(f"counting instructions: resilience {what}")
        result[what] = round(sum(instructions(progs, side, p.TERN, p.TERN, ("--resilience", what))
                                 for side in ("client", "server")))
    return result


def steps(with_tern):
    return 10 + len(p.RESILIENCE) if with_tern else 6
