#!/usr/bin/python3
"""The five services of Drone Delivery as real processes, called by grpcio: bad input, repeats, kills,
faults on demand, drains, and what they say when they cannot start.

Run with $B set to the build folder. Everything is on Unix sockets in a temporary folder.
"""
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PROGRAM = os.path.join(os.environ.get("B", os.path.join(ROOT, "build")), "bin", "dronedelivery")
PARTS = ["account", "package", "drone", "transport", "delivery"]
START_S = 20  # generous: sanitizers on a busy machine
CALL_S = 20

checks = 0
failures = []


def check(condition, text):
    global checks
    checks += 1
    if not condition:
        failures.append(f"FAILED: {text}"[:1000])


def load_classes():
    with tempfile.NamedTemporaryFile() as f:
        protos = [f"drone/{p}/v1/{p}.proto" for p in PARTS]
        subprocess.run(["protoc", "--include_imports", "-I", os.path.join(ROOT, "proto"), "-o", f.name,
                        *protos], check=True, timeout=60)
        files = descriptor_pb2.FileDescriptorSet.FromString(f.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool, message_factory.MessageFactory(pool)


POOL, FACTORY = load_classes()


class Service:
    """One process, and a channel to it."""

    started = []  # every process, so that none outlives the test

    def __init__(self, name, folder, *options):
        self.name = name
        self.folder = folder
        self.options = options
        self.start()
        self.channel = grpc.insecure_channel(f"unix:{folder}/{name}.sock",
                                             [("grpc.initial_reconnect_backoff_ms", 50),
                                              ("grpc.min_reconnect_backoff_ms", 50),
                                              ("grpc.max_reconnect_backoff_ms", 100)])
        grpc.channel_ready_future(self.channel).result(timeout=START_S)

    def start(self):
        self.process = subprocess.Popen([PROGRAM, self.name, "--dir", self.folder, *self.options],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        Service.started.append(self.process)
        line = self.process.stdout.readline().decode()
        check(line.startswith(f"{self.name}: serving on unix:"), f"{self.name} says {line!r}")

    def call(self, method, request, wait=False):
        """Returns (code, answer or message)."""
        full = f"drone.{self.name}.v1.{self.name.capitalize()}Service"
        m = POOL.FindServiceByName(full).FindMethodByName(method)
        out = FACTORY.GetPrototype(m.output_type)
        rpc = self.channel.unary_unary(f"/{full}/{method}",
                                       request_serializer=lambda r: r.SerializeToString(),
                                       response_deserializer=out.FromString)
        message = FACTORY.GetPrototype(m.input_type)(**request)
        try:
            return grpc.StatusCode.OK, rpc(message, timeout=CALL_S, wait_for_ready=wait)
        except grpc.RpcError as e:
            return e.code(), e.details()

    def kill(self):
        self.process.kill()
        self.process.communicate(timeout=START_S)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        _, err = self.process.communicate(timeout=40)
        self.channel.close()
        check(self.process.returncode == 0, f"{self.name} ended with {self.process.returncode}: {err!r}")
        check(err == b"", f"{self.name} wrote {err!r}")


OK = grpc.StatusCode.OK
INVALID = grpc.StatusCode.INVALID_ARGUMENT
HERE = {"latitude": 40.75, "longitude": -73.95}
THERE = {"latitude": 40.76, "longitude": -73.95}
PACKAGE = {"package_id": "p-1", "size": 1, "weight_g": 500, "tag": "t"}


def change(delivery="d-1", revision=1, key=None):
    return {"delivery_id": delivery, "revision": revision,
            "idempotency_key": key or f"{delivery}/{revision}"}


def route():
    now = int(time.time() * 1000)
    return {"pickup": HERE, "dropoff": THERE, "pickup_at_ms": now + 3600000,
            "deadline_ms": now + 7200000}


def hold(delivery, amount=100, key=None, account="account-1"):
    return {"change": change(delivery, 1, key), "account_id": account, "amount_cents": amount}


def test_a_delivery(services):
    """The way of one delivery through all five, and back."""
    s = services
    fixed = route()
    check(s["account"].call("PlaceHold", hold("d-1"))[0] == OK, "PlaceHold")
    check(s["package"].call("PutPackage", {"change": change(), "package": PACKAGE})[0] == OK, "PutPackage")
    code, can = s["drone"].call("CanCarry", {"package": PACKAGE, "pickup": HERE, "dropoff": THERE})
    check(code == OK and can.able, f"CanCarry: {can}")
    assign = {"change": change(), "package": PACKAGE, "route": fixed}
    code, first = s["drone"].call("AssignDrone", assign)
    check(code == OK and first.drone_id.startswith("drone-"), f"AssignDrone: {first}")
    code, again = s["drone"].call("AssignDrone", assign)
    check(code == OK and again == first, f"AssignDrone again: {again}")
    code, order = s["transport"].call("TakeOver", {"change": change("d-2"), "package": PACKAGE,
                                                   "route": fixed})
    check(code == OK and order.order_id == "order-1", f"TakeOver: {order}")
    create = {"change": change(), "owner": {"user_id": "u", "account_id": "account-1"}, "route": fixed,
              "confirmation": 4, "package_id": "p-1", "drone_id": first.drone_id}
    check(s["delivery"].call("CreateDelivery", create)[0] == OK, "CreateDelivery")
    code, d = s["delivery"].call("GetDelivery", {"delivery_id": "d-1"})
    check(code == OK and d.drone_id == first.drone_id and d.stage == 1, f"GetDelivery: {d}")
    for name, undo in (("delivery", "CancelDelivery"), ("drone", "CancelAssignment"),
                       ("transport", "Recall"), ("package", "ReleasePackage"),
                       ("account", "RefundHold")):
        # The third party never had d-1: a tombstone.
        for _ in range(2):
            code, done = s[name].call(undo, {"change": change(key="d-1/1/u")})
            expected = 2 if name == "transport" else 1
            check(code == OK and done.outcome == expected, f"{undo}: {code} {done}")


def test_bad_input(services):
    for name, method, request, message in (
            ("account", "PlaceHold", hold("d-9", -1), "amount_cents: -1 is outside"),
            ("account", "PlaceHold", hold(""), "change.delivery_id: is empty"),
            ("account", "PlaceHold", {}, "change: is missing"),
            ("package", "PutPackage", {"change": change("d-9"), "package": dict(PACKAGE, size=9)},
             "package.size: 9 is no PackageSize"),
            ("drone", "AssignDrone", {"change": change("d-9"), "package": PACKAGE,
                                      "route": dict(route(), pickup={"latitude": 91})},
             "route.pickup.latitude: 91 is outside -90..90"),
            ("drone", "CanCarry", {"package": dict(PACKAGE, weight_g=-4), "pickup": HERE,
                                   "dropoff": THERE}, "package.weight_g: -4 is outside"),
            ("transport", "TakeOver", {"change": change("d-9"), "package": PACKAGE}, "route: is missing"),
            ("delivery", "GetDelivery", {"delivery_id": "x" * 100000},
             "delivery_id: is longer than 64 characters"),
            ("package", "GetPackage", {"delivery_id": "line\nbreak"},
             "delivery_id: character 5 (byte 0x0a) is not one of")):
        code, text = services[name].call(method, request)
        check(code == INVALID and text.startswith(message), f"{method}: {code} {text}")
    # Neither a NUL in the middle of an id nor bytes that are no UTF-8 may be taken for the id before it.
    code, text = services["account"].call("GetHold", {"delivery_id": "d-1\0x"})
    check(code not in (OK, grpc.StatusCode.NOT_FOUND), f"an id with a NUL: {code} {text}")
    for name in PARTS:
        check(services[name].process.poll() is None, f"{name} still runs")


def test_keys(services):
    account = services["account"]
    check(account.call("PlaceHold", hold("d-k", 7, "key"))[0] == OK, "the first")
    check(account.call("PlaceHold", hold("d-k", 7, "key"))[0] == OK, "the same")
    code, text = account.call("PlaceHold", hold("d-k", 8, "key"))
    check(code == grpc.StatusCode.ABORTED and "another request" in text, f"another body: {code} {text}")
    check(account.call("GetHold", {"delivery_id": "d-k"})[1].amount_cents == 7, "nothing changed")


def test_faults(folder):
    """Before: nothing happened. After: it did, and the repeat of the caller finds it."""
    s = Service("package", os.path.join(folder, "faults"), "--fault-before", "30", "--fault-after", "30",
                "--fault-seed", "7")
    answered = {}
    for i in range(200):
        request = {"change": change(f"d-{i}"), "package": dict(PACKAGE, package_id=f"p-{i}")}
        answered[i] = s.call("PutPackage", request)
    s.stop()
    before = [i for i, (_, text) in answered.items() if "nothing was done" in str(text)]
    after = [i for i, (_, text) in answered.items() if "done, but answered" in str(text)]
    check(30 < len(before) < 90 and 30 < len(after) < 90, f"{len(before)} before, {len(after)} after")
    check(all(answered[i][0] == grpc.StatusCode.UNAVAILABLE for i in before + after), "UNAVAILABLE")
    s = Service("package", os.path.join(folder, "faults"))
    for i in range(200):
        code, _ = s.call("GetPackage", {"delivery_id": f"d-{i}"})
        expected = grpc.StatusCode.NOT_FOUND if i in before else OK
        check(code == expected, f"package {i} after a fault: {code}")
    s.stop()


def test_kill(folder):
    """Whatever was answered with OK is there after a kill -9, ten times over, under load."""
    s = Service("account", os.path.join(folder, "kill"))
    kept = []
    lock = threading.Lock()
    ended = threading.Event()

    def load(thread):
        n = 0
        while not ended.is_set():
            n += 1
            delivery = f"d-{thread}-{n}"
            # A repeat of what was in doubt: the key makes it safe.
            while s.call("PlaceHold", hold(delivery, 3), wait=True)[0] != OK:
                if ended.is_set():
                    return
            with lock:
                kept.append(delivery)

    threads = [threading.Thread(target=load, args=(t,)) for t in range(8)]
    for t in threads:
        t.start()
    for _ in range(10):
        seen = len(kept)
        deadline = time.monotonic() + START_S
        while len(kept) < seen + 40 and time.monotonic() < deadline:
            time.sleep(0.005)
        check(len(kept) >= seen + 40, "the load goes on after a kill")
        s.kill()
        s.start()
    ended.set()
    for t in threads:
        t.join()
    for delivery in kept:
        code, h = s.call("GetHold", {"delivery_id": delivery}, wait=True)
        check(code == OK and h.amount_cents == 3, f"{delivery} after the kills: {code} {h}")
    code, a = s.call("GetAccount", {"account_id": "account-1"})
    # What was in doubt at the very end may be held, too, one for each thread at most.
    check(code == OK and len(kept) * 3 <= a.held_cents <= (len(kept) + 8) * 3,
          f"{len(kept)} holds of 3 cents add up to {a}")
    s.stop()


def test_drain(folder):
    """SIGTERM under load: every call gets an answer, and the process ends with 0."""
    s = Service("transport", os.path.join(folder, "drain"))
    fixed = route()
    codes = []

    def load(thread):
        for n in range(300):
            code, _ = s.call("TakeOver", {"change": change(f"d-{thread}-{n}"), "package": PACKAGE,
                                          "route": fixed})
            codes.append(code)
            if code != OK:
                return

    threads = [threading.Thread(target=load, args=(t,)) for t in range(8)]
    for t in threads:
        t.start()
    while len(codes) < 50:
        time.sleep(0.005)
    s.process.send_signal(signal.SIGTERM)
    for t in threads:
        t.join()
    s.stop()
    check(set(codes) <= {OK, grpc.StatusCode.UNAVAILABLE}, f"codes of a drain: {set(codes)}")
    answered = codes.count(OK)
    s = Service("transport", os.path.join(folder, "drain"))
    code, order = s.call("TakeOver", {"change": change("last"), "package": PACKAGE, "route": fixed})
    check(code == OK and int(order.order_id.split("-")[1]) > answered, f"{answered} answered, {order}")
    s.stop()


def refused(status, message, *args):
    done = subprocess.run([PROGRAM, *args], capture_output=True, timeout=START_S)
    err = done.stderr.decode()
    check(done.returncode == status, f"{args} ended with {done.returncode}, not {status}")
    check(message in err and err.count("\n") == 1, f"{args} said {err!r}")


def test_refusals(services, folder):
    """One clear line and an exit status, each."""
    free = os.path.join(folder, "free")
    taken = os.path.join(folder, "account.sock")
    refused(75, "another account service runs on this folder", "account", "--dir", folder)
    refused(1, "in use", "account", "--dir", free, "--listen", f"unix:{taken}")
    refused(1, "cannot make the folder", "account", "--dir", os.path.join(folder, "no", "such"))
    refused(1, "cannot", "account", "--dir", free, "--listen", f"unix:{folder}/no/such.sock")
    refused(2, "--listen", "account", "--listen")
    refused(2, "there is none of this name", "account", "--lisen", "x")
    refused(2, "is not a whole number of 1..32768", "drone", "--drones", "0")
    refused(2, "\"MAYBE\" is no code", "drone", "--fault-code", "MAYBE")
    refused(2, "there is no subcommand \"fly\"", "fly")
    refused(2, "No such file", "check", "--dir", free)
    with open(os.path.join(free, "package.db"), "wb") as f:
        f.write(b"no database at all, but long enough to be taken for one" * 20)
    refused(1, "is not a database", "package", "--dir", free)
    check(services["account"].call("GetAccount", {"account_id": "account-1"})[0] == OK, "still there")


def main():
    folder = tempfile.mkdtemp(prefix="drone-services-")
    try:
        services = {name: Service(name, folder) for name in PARTS}
        test_a_delivery(services)
        test_bad_input(services)
        test_keys(services)
        test_refusals(services, folder)
        for s in services.values():
            s.stop()
        test_faults(folder)
        test_kill(folder)
        test_drain(folder)
    finally:
        for process in Service.started:
            if process.poll() is None:
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)
    for line in failures:
        print(line)
    print(f"{checks} checks, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
