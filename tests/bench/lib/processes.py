"""Starting, pinning and ending the programs of a benchmark.

Every program gets one CPU, CUBIC instead of the machine's congestion control (tcp-cubic.so), and a
time limit. What was started here is ended here, whatever happens.
"""
import contextlib
import json
import os
import pathlib
import subprocess
import threading

START_LIMIT_S = 20
STOP_LIMIT_S = 10


class Failure(Exception):
    """A program that did not do its part; the text is for the person at the terminal."""


def cpus():
    """(CPU of the server, CPU of the load): the same one when there is no second."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[1 if len(allowed) > 1 else 0]


def environment(build, extra=None):
    env = dict(os.environ)
    preload = [str(build / "bench-peers" / "tcp-cubic.so")]
    for key, value in (extra or {}).items():
        if key == "LD_PRELOAD":
            preload.append(value)
        else:
            env[key] = value
    env["LD_PRELOAD"] = " ".join(preload)
    return env


def popen(command, cpu, env, **more):
    def pin():
        os.sched_setaffinity(0, {cpu})
    return subprocess.Popen([str(word) for word in command], env=env, text=True,
                            stdin=subprocess.DEVNULL, preexec_fn=pin, **more)


def first_line(process, limit_s):
    """The first line of a program's output; "" when there is none before the time is up."""
    lines = []
    reader = threading.Thread(target=lambda: lines.append(process.stdout.readline()), daemon=True)
    reader.start()
    reader.join(limit_s)
    return lines[0] if lines else ""


@contextlib.contextmanager
def server(command, cpu, env, start_limit_s=START_LIMIT_S):
    """Runs a server; yields (address, process id). The server says "listening on ADDRESS" first."""
    name = pathlib.Path(str(command[0])).name
    process = popen(command, cpu, env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        words = first_line(process, start_limit_s).split()
        if words[:2] != ["listening", "on"] or len(words) != 3:
            process.kill()
            error = process.stderr.read().strip()
            raise Failure(f"{name} did not start: {error or 'it said nothing'}")
        yield words[2], process.pid
    finally:
        end(process)


def end(process):
    """Asks a program to stop, and makes it stop when it does not."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()


def run(command, cpu, env, limit_s):
    """Runs a program to its end and returns (output, errors)."""
    name = " ".join(pathlib.Path(str(word)).name for word in command[:2])
    process = popen(command, cpu, env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        output, errors = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        raise Failure(f"{name} was not done after {limit_s} s") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode != 0:
        raise Failure(f"{name} ended with status {process.returncode}: {errors.strip()}")
    return output, errors


def run_json(command, cpu, env, limit_s):
    """Runs a program whose last line of output is one JSON object, and returns that."""
    output, _ = run(command, cpu, env, limit_s)
    try:
        return json.loads(output.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise Failure(f"{pathlib.Path(str(command[0])).name} printed no JSON: {output!r}") from None
