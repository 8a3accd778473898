#!/usr/bin/python3
"""Every subcommand of dronedelivery with what a person can do wrong: folders that cannot be, ports that
are taken, options that do not exist, systems that are not there. Each time one clear line on standard
error, an exit status that is not 0, and no crash. And `up`, which has to keep apart its own parts
from others'.

Run with $B set to the build folder. Everything happens in a temporary folder."""
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PROGRAM = os.path.join(os.environ.get("B", os.path.join(ROOT, "build")), "bin", "dronedelivery")
SERVICES = ["account", "package", "drone", "transport", "delivery", "scheduler", "supervisor", "messages"]
COMMANDS = SERVICES + ["ingestion", "up", "submit", "status", "check"]
# What a command needs beside --dir to get as far as the folder.
OPERANDS = {"submit": ["--generate", "1"], "status": ["d-1"]}
PATIENCE_S = 40  # generous: sanitizers on a busy machine

failures = []
checks = 0


def check(condition, text):
    global checks
    checks += 1
    if not condition:
        failures.append(f"FAILED: {text}"[:1500])


def run(*args):
    done = subprocess.run([PROGRAM, *args], capture_output=True, text=True, timeout=PATIENCE_S,
                          stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


def refused(args, pattern, lines=1):
    """Exits with a status of its own (not by a signal) and says so in `lines` lines."""
    status, _, err = run(*args)
    shown = " ".join(args)
    check(status > 0, f"{shown}: exit status {status}: {err}")
    check(re.search(pattern, err), f"{shown}: does not say {pattern!r}: {err}")
    check(err.count("\n") == lines, f"{shown}: not {lines} line(s): {err}")


def start_up(folder, *options):
    """Starts a system; returns the process once it is ready, with what it said so far."""
    process = subprocess.Popen([PROGRAM, "up", "--dir", folder, "--drones", "10", *options],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = ""
    for line in process.stdout:
        said += line
        if "everything is ready" in line:
            break
    return process, said


def stop_up(process):
    process.send_signal(signal.SIGTERM)
    rest = process.communicate(timeout=PATIENCE_S)[0]
    check(process.returncode == 0, f"up ended with {process.returncode}: {rest}")
    return rest


def pid_of(said, part):
    return int(re.findall(rf"^up: {part}: started.*process (\d+)$", said, re.M)[-1])


def bad_command_lines(folder):
    for command in COMMANDS:
        operands = OPERANDS.get(command, [])
        refused([command, "--no-such-option"], "there is none of this name")
        refused([command, *operands, "--dir"], "option --dir: needs a value")
        refused([command, "a", "b", "c"], "one too many", lines=2)
        status, out, err = run(command, "--help")
        check(status == 0 and err == "", f"{command} --help: {status}: {err}")
        check("--dir DIR" in out and "default drone-data" in out, f"{command}: no default: {out}")
        examples = out.split("\nExamples:\n")[-1].splitlines()
        check(examples and all(re.match(f"  dronedelivery {command} ", line) for line in examples),
              f"{command} --help: examples: {examples}")
        # Only the five services play failures.
        plays = command in SERVICES[:5]
        check(("  --fault-before " in out) == plays, f"{command} --help: --fault-before: {out}")
    refused(["scheduler", "--dir", folder, "--fault-before", "5"], "there is none of this name")
    refused(["fly"], "no subcommand \"fly\"")
    refused(["submit", "--dir", folder], "either a file or --generate")
    refused(["submit", "--dir", folder, "--generate", "many"], "not a whole number")
    refused(["status", "--dir", folder], "give a delivery, --parked or --resolve")
    # What a part would refuse, and what nobody else could find, starts nothing.
    refused(["up", "--dir", os.path.join(folder, "large"), "--drones", "32769"], "number of 1..32768")
    refused(["up", "--dir", os.path.join(folder, "any"), "--listen", "127.0.0.1:0"], "needs a port")
    check(not os.path.exists(os.path.join(folder, "any")), "up made a folder before it looked")


def bad_folders(folder):
    file = os.path.join(folder, "file")
    with open(file, "w") as f:
        f.write("no folder")
    for bad in ("/proc/nope", file, os.path.join(folder, "a" * 300), "/" + "long/" * 400):
        for command in COMMANDS:
            refused([command, "--dir", bad, *OPERANDS.get(command, [])], re.escape(bad[:100]) +
                    "|the path is too long|the path of|a socket's name")
    not_ours = os.path.join(folder, "not-ours")
    os.mkdir(not_ours)
    for command in SERVICES:
        with open(os.path.join(not_ours, f"{command}.db"), "w") as f:
            f.write("this is no database, whatever its name says" * 100)
        refused([command, "--dir", not_ours], r"not-ours/\w+\.db.* not a database")
    refused(["submit", "--dir", folder, os.path.join(folder, "none.csv")], "none.csv: cannot be opened")
    os.mkdir(os.path.join(folder, "folder.csv"))
    refused(["submit", "--dir", folder, os.path.join(folder, "folder.csv")], "folder.csv: not a regular file")
    refused(["submit", "--dir", folder, file], "must end in .csv or .jsonl")
    refused(["check", "--dir", os.path.join(folder, "empty")], "No such file")


def taken_ports(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for command in SERVICES:
            refused([command, "--dir", os.path.join(folder, "ports"), "--listen", address],
                    f"{command}: .*{address}.*in use")
        status, out, err = run("up", "--dir", os.path.join(folder, "up-port"), "--listen", address)
        check(status == 1, f"up on a port in use: {status}")
        check(err.count("\n") == 1 and "in use" in err, f"up on a port in use says: {err}")
        check("scheduler: ended with status 1 before it was ever ready" in out, f"up says: {out}")
    for command in SERVICES:
        refused([command, "--dir", os.path.join(folder, "ports"), "--listen", "nonsense:::"],
                f"{command}: ")
    refused(["status", "--target", "127.0.0.1:1", "d-1"], "UNAVAILABLE.*127.0.0.1:1")
    refused(["submit", "--target", "127.0.0.1:1", "--generate", "1"],
            "the Scheduler does not answer: .*127.0.0.1:1.*is --target right")


def full_output(folder):
    """A verdict that could not be written is no success."""
    for words in (["--help"], ["check", "--help"], ["check", "--dir", folder]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([PROGRAM, *words], stdout=full, stderr=subprocess.PIPE, text=True,
                                  timeout=PATIENCE_S, check=False)
        check(done.returncode == 1, f"{words} on a full disk: exit status {done.returncode}")
        check(re.fullmatch("dronedelivery: cannot write the output: .*\n", done.stderr),
              f"{words} on a full disk says: {done.stderr}")


def one_up_at_a_time(folder):
    first, said = start_up(folder)
    refused(["up", "--dir", folder], rf"in use by another \"up\", process {first.pid}: stop that")
    refused(["account", "--dir", folder], "in use: another account service")
    os.kill(pid_of(said, "drone"), signal.SIGKILL)
    status, out, err = run("submit", "--dir", folder, "--generate", "5", "--json")
    check(status == 0 and json.loads(out)["accepted"] == 5, f"submit: {status}: {out}{err}")
    for ends in ["accepted", "refused"]:
        _, out, err = run("submit", "--dir", folder, "--generate", "3", "--run", "once", "--json")
        check(json.loads(out)[ends] == 3, f"submit --run once: not {ends}: {out}{err}")
    check("of one ID each line is accepted once" in run("submit", "--help")[1], "submit --help: --run")
    rest = stop_up(first)
    check("drone: killed by signal 9" in rest and "drone: started again" in rest, f"up says {rest}")
    # Killed, it leaves nothing that keeps the next one out.
    second, _ = start_up(folder)
    second.kill()
    second.communicate()
    third, _ = start_up(folder)
    stop_up(third)
    status, out, err = run("check", "--dir", folder)
    check(status == 0, f"check: {out}{err}")


def others_in_the_way(folder):
    """A part that somebody has started by hand is not taken for one of up's own."""
    alone = subprocess.Popen([PROGRAM, "account", "--dir", folder], stdout=subprocess.PIPE, text=True)
    alone.stdout.readline()
    status, out, err = run("up", "--dir", folder)
    check(status == 1, f"up beside a part: {status}")
    check("in use: another account service" in err, f"up beside a part says: {err}")
    check("account: ready" not in out and "given up" in out, f"up beside a part: {out}")
    alone.terminate()
    check(alone.wait(PATIENCE_S) == 0, "the part that was there first")


def deaf_parts(folder):
    """One that hangs is killed and started again."""
    up, said = start_up(folder)
    os.kill(pid_of(said, "package"), signal.SIGSTOP)
    ends = time.monotonic() + 60
    for line in up.stdout:
        said += line
        if "package: ready" in line or time.monotonic() > ends:
            break
    check("package: has not answered 3 health checks in a row: killed" in said and
          said.count("package: ready") == 2, f"up with a hanging part says: {said}")
    stop_up(up)


def main():
    with tempfile.TemporaryDirectory(prefix="tern-") as folder:
        bad_command_lines(folder)
        bad_folders(folder)
        taken_ports(folder)
        one_up_at_a_time(os.path.join(folder, "system"))
        full_output(os.path.join(folder, "system"))
        others_in_the_way(os.path.join(folder, "other"))
        deaf_parts(os.path.join(folder, "deaf"))
    for line in failures:
        print(line)
    print(f"{checks - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
