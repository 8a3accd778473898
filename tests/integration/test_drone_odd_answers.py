#!/usr/bin/python3
"""Drone Delivery beside a third party of another make, played here with grpcio, whose statuses say
what none of our own services would: several lines, tabs, other scripts. A delivery must come to its
end all the same, and what it holds be given back.

Run with $B set to the build folder. Everything is on Unix sockets in a temporary folder."""
import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import tempfile

import grpc

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PROGRAM = os.path.join(os.environ.get("B", os.path.join(ROOT, "build")), "bin", "dronedelivery")
PATIENCE_S = 40  # generous: sanitizers on a busy machine
ODD = "no lorry:\n\tversuch's morgen \u2014 \u00e9\x1b[2J\u0085"
N = 6

failures = []


def check(condition, text):
    if not condition:
        failures.append(f"FAILED: {text}"[:3000])


class ThirdParty(grpc.GenericRpcHandler):
    """Takes every order (if it is to) and gives none back. Messages are made by hand: an Order's
    fields delivery_id and order_id are its first two strings."""

    takes = False
    recalls = False
    once = None  # the deliveries of which an order was taken, when there is to be one of each

    def service(self, details):
        def take_over(request, context):
            delivery = request[4:4 + request[3]]  # change.delivery_id
            if not self.takes or (self.once is not None and delivery in self.once):
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, ODD)
            if self.once is not None:
                self.once.add(delivery)
            return b"\x0a\x01d\x12\x07order-1\x18\x01\x20\x01"

        def recall(_, context):
            if not self.recalls:
                context.abort(grpc.StatusCode.PERMISSION_DENIED, ODD)
            return b"\x08\x01"  # UNDONE_DONE

        method = details.method.rsplit("/", 1)[-1]
        run = {"TakeOver": take_over, "Recall": recall}.get(method)
        return run and grpc.unary_unary_rpc_method_handler(run)


def submit(folder, run, *options):
    """Sends N deliveries that no drone can carry; returns the closing table."""
    file = os.path.join(folder, f"{run}.jsonl")
    with open(file, "w", encoding="ascii") as f:
        for _ in range(N):
            f.write(json.dumps({"requested_at": "2026-01-01T00:00:00",
                                "pickup": {"latitude": 40.75, "longitude": -73.95},
                                "dropoff": {"latitude": 40.76, "longitude": -73.95},
                                "package": {"size": "large", "weight_g": 100000}}) + "\n")
    done = subprocess.run([PROGRAM, "submit", "--dir", folder, "--run", run, "--json", "--accounts", "1",
                           "--patience-s", "15", *options, file], capture_output=True, text=True,
                          timeout=PATIENCE_S, check=False)
    check(done.stdout, f"submit says nothing but {done.stderr}")
    return json.loads(done.stdout or "{}"), done.stderr


def main():
    third_party = ThirdParty()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), handlers=[third_party])
    with tempfile.TemporaryDirectory(prefix="drone-", ignore_cleanup_errors=True) as folder:
        address = f"unix:{folder}/lorries.sock"
        server.add_insecure_port(address)
        server.start()
        up = subprocess.Popen([PROGRAM, "up", "--dir", folder, "--drones", "10", "--suspend-every", "0",
                               "--part-options",
                               f"scheduler:--transport={address},supervisor:--transport={address}"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in up.stdout:
            if "everything is ready" in line:
                break
        # It takes nothing: what was begun is undone, and that for good.
        table, err = submit(folder, "refused")
        check(table.get("compensated") == N, f"not compensated: {table} {err}")
        # It takes what it never gives back: that is parked, and the Scheduler knows.
        third_party.takes = True
        table, err = submit(folder, "kept", "--cancel-percent", "100")
        check(table.get("undecided") == 0 and table.get("parked", 0) > 0, f"not parked: {table} {err}")
        # It takes each delivery once: an update fails, and so does putting back what was. Nothing
        # is rescheduled then.
        third_party.recalls = True
        third_party.once = set()
        table, err = submit(folder, "fickle", "--update-percent", "100")
        check(table.get("compensated") == N and table.get("rescheduled") == 0,
              f"not compensated, or rescheduled: {table} {err}")
        up.send_signal(signal.SIGTERM)
        said = up.communicate(timeout=PATIENCE_S)[0]
        check(up.returncode == 0, f"up ended with {up.returncode}: {said}")
        check("refuses" not in said and "\x1b" not in said, f"the system complains: {said}")
        server.stop(None)
    print("\n".join(failures) if failures else "ok")
    return 1 if failures else 0


sys.exit(main())
