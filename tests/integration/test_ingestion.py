#!/usr/bin/python3
"""The REST door, from a client's side, of a whole system: what is accepted is carried out once, whatever is
killed meanwhile; what is wrong is refused with the place of the fault, and leaves nothing; what cannot be
taken now is 503. Beyond the door: commands that overtake, that come too late, and that are no commands.

Run with $B set to the build folder. Everything happens in a temporary folder."""
import concurrent.futures
import http.client
import itertools
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BIN = os.path.join(os.environ.get("B", os.path.join(ROOT, "build")), "bin")
PROGRAM = os.path.join(BIN, "dronedelivery")
PATIENCE_S = 90  # generous: sanitizers on a busy machine
CLIENTS = 8
BURST = 400  # requests of a client at most

failures = []
checks = 0


def check(condition, text):
    global checks
    checks += 1
    if not condition:
        failures.append(f"FAILED: {text}"[:1500])


def document(n=1, **changes):
    """A good request; changes are of top-level members, None takes one away."""
    doc = {
        "owner": {"userId": "u-1", "accountId": f"account-{n % 40 + 1}"},
        "packageInfo": {"packageId": f"p-{n}", "size": "small", "weightGrams": 500},
        "pickupLocation": {"latitude": 40.77, "longitude": -73.98},
        "dropoffLocation": {"latitude": 40.78, "longitude": -73.95},
        "pickupTime": time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(time.time() + 3600 * (2 + n % 200))),
        "deadline": time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(time.time() + 3600 * (5 + n % 200))),
    }
    doc.update(changes)
    return {k: v for k, v in doc.items() if v is not None}


def update_of(doc, **changes):
    names = ("pickupLocation", "dropoffLocation", "pickupTime", "deadline")
    return {**{k: doc[k] for k in names}, **changes}


class Part:
    """A process of which the log is read."""
    started = []

    def __init__(self, *args):
        self.log = tempfile.NamedTemporaryFile("w+", prefix="drone-ingestion-log-")
        self.process = subprocess.Popen([PROGRAM, *args], stdout=self.log, stderr=subprocess.STDOUT)
        self.seen = 0
        Part.started.append(self.process)

    @property
    def said(self):
        with open(self.log.name, encoding="utf-8") as f:
            return f.read()

    def until(self, pattern):
        """The next of these since the last that was waited for."""
        until = time.time() + PATIENCE_S
        while time.time() < until:
            said = self.said
            found = re.compile(pattern, re.M).search(said, self.seen)
            if found:
                self.seen = found.end()
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise SystemExit(f"it never said {pattern!r}: {self.said}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=PATIENCE_S)
        said = self.said
        check(self.process.returncode == 0, f"it ended with {self.process.returncode}: {said[-800:]}")
        check(not re.search("Sanitizer|runtime error:", said), f"a sanitizer complains: {said}")


class Door:
    def __init__(self, url):
        self.host, port = re.fullmatch(r"http://(.*):(\d+)", url).groups()
        self.port = int(port)

    def ask(self, method, path, body=None, headers=None):
        """Status, headers, the JSON body."""
        conn = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE_S)
        try:
            conn.request(method, path, body, headers or {})
            res = conn.getresponse()
            text = res.read()
            return res.status, {k.lower(): v for k, v in res.getheaders()}, json.loads(text) if text else None
        finally:
            conn.close()

    def send(self, method, path, doc, key=None, **headers):
        h = {"Content-Type": "application/json", **headers}
        if key:
            h["Idempotency-Key"] = key
        return self.ask(method, path, doc if isinstance(doc, (str, bytes)) else json.dumps(doc), h)

    def post(self, doc, key=None, **headers):
        return self.send("POST", "/api/deliveryrequests", doc, key, **headers)

    def state(self, delivery):
        return self.ask("GET", f"/api/deliveryrequests/{delivery}")

    def settled(self, delivery, *states):
        """The request once it is in one of the states."""
        until = time.time() + PATIENCE_S
        while True:
            status, _, body = self.state(delivery)
            if status == 200 and body["state"] in states:
                return body
            if time.time() > until:
                check(False, f"{delivery} is not {states} but {status} {body}")
                return body
            time.sleep(0.02)


def start_up(folder, *options):
    with socket.socket() as s:  # a port that is free, and stays the same when the door is opened again
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    up = Part("up", "--dir", folder, "--drones", "4000", "--suspend-every", "0", "--http", f"127.0.0.1:{port}",
              *options)
    door = Door(up.until(r"ingestion: REST on (http://\S+)").group(1))
    up.until("everything is ready")
    return up, door


def refused(answer, status, pattern):
    got, headers, body = answer
    check(got == status, f"not {status} ({pattern}) but {got}: {body}")
    check(headers.get("content-type") == "application/problem+json", f"{pattern}: {headers}")
    check(body and body["status"] == status and body["title"], f"no problem: {body}")
    check(body and re.search(pattern, body["detail"]), f"{body} does not say {pattern!r}")


def good_requests(door):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    status, headers, body = door.post(document(1), "k-1", traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    check(status == 202 and body == {"deliveryId": "k-1", "state": "accepted"}, f"POST: {status} {body}")
    check(headers["location"] == "/api/deliveryrequests/k-1", f"POST: {headers}")
    check(headers["traceparent"].startswith(f"00-{trace}-"), f"another trace: {headers}")
    check("idempotency-replayed" not in headers, f"nothing was replayed: {headers}")
    done = door.settled("k-1", "scheduled")
    check(done["droneId"] and done["revision"] == 1 and done["endedAt"], f"scheduled: {done}")
    # Once more: the same, and carried out once.
    status, headers, body = door.post(document(1), "k-1")
    check(status == 202 and headers["idempotency-replayed"] == "true", f"again: {status} {headers}")
    check(door.post(document(1), '"k-1"')[0] == 202, "a quoted key is the same key")
    refused(door.post(document(2), "k-1"), 409, "Idempotency-Key: k-1 was used for another request")
    # An id of the client's own.
    check(door.post(document(3, deliveryId="mine/3"), "k-3")[1]["location"] == "/api/deliveryrequests/mine%2F3",
          "the id is escaped in its Location")
    check(door.settled("mine%2F3", "scheduled")["deliveryId"] == "mine/3", "an id with a slash")
    refused(door.post(document(4, deliveryId="mine/3"), "k-4"), 409, r"\$.deliveryId: mine/3 was used")
    # The delivery itself.
    status, _, body = door.ask("GET", "/api/deliveries/k-1")
    check(status == 200 and body["stage"] == "created" and body["owner"]["userId"] == "u-1", f"{status} {body}")
    check(body["pickupLocation"] == {"latitude": 40.77, "longitude": -73.98, "altitude": 0}, f"{body}")
    check(door.ask("GET", "/api/deliveries/k-1/status")[2] == {"deliveryId": "k-1", "stage": "created"}, "status")
    check(door.ask("GET", "/api/deliveries/k-1/owner")[2] == {"userId": "u-1", "accountId": "account-2"}, "owner")
    check(door.ask("HEAD", "/api/deliveries/k-1")[0] == 200, "HEAD")
    # Changed, and cancelled.
    status, _, body = door.send("PATCH", "/api/deliveryrequests/k-1", update_of(document(9)), "k-1-move")
    check(status == 202 and body["deliveryId"] == "k-1", f"PATCH: {status} {body}")
    until = time.time() + PATIENCE_S
    while door.settled("k-1", "scheduled")["revision"] != 2 and time.time() < until:
        time.sleep(0.02)
    check(door.ask("GET", "/api/deliveries/k-1")[2]["stage"] == "rescheduled", "it was not rescheduled")
    check(door.ask("DELETE", "/api/deliveryrequests/k-1")[0] == 202, "DELETE without a key")
    check(door.ask("DELETE", "/api/deliveryrequests/k-1")[1].get("idempotency-replayed") == "true", "twice")
    door.settled("k-1", "cancelled")
    # A cancel that overtakes its delivery.
    check(door.ask("DELETE", "/api/deliveryrequests/early")[0] == 202, "DELETE before POST")
    door.settled("early", "cancelled")
    check(door.post(document(5), "early")[0] == 202, "POST behind its DELETE")
    check(door.settled("early", "cancelled")["revision"] == 0, "the cancel stands")
    # What fails is told.
    check(door.post(document(6, owner={"userId": "u", "accountId": "nobody"}), "k-6")[0] == 202, "no account")
    failure = door.settled("k-6", "compensated")["failure"]
    check(failure["step"] == "account" and failure["code"] == "NOT_FOUND", f"why it failed: {failure}")


def good_pages(door):
    status, headers, body = door.ask("GET", "/openapi.json")
    check(status == 200 and body["openapi"].startswith("3.") and "traceparent" in headers, f"{status}")
    check(set(body["paths"]) >= {"/api/deliveryrequests", "/api/deliveries/{id}/status"}, f"{body['paths']}")
    check(door.ask("GET", "/healthz")[2] == {"live": True}, "healthz")
    check(door.ask("GET", "/readyz")[2] == {"ready": True}, "readyz")


def bad_requests(door):
    refused(door.ask("GET", "/"), 404, "see /openapi.json")
    refused(door.ask("GET", "/api/deliveryrequests/none-such"), 404, "no delivery of this id")
    refused(door.ask("GET", "/api/deliveries/none-such/status"), 404, "none-such")
    refused(door.ask("GET", "/api/deliveries/" + "x" * 49), 400, "the id in the path: ")
    refused(door.ask("DELETE", "/api/deliveryrequests/a%20b"), 400, "the id in the path: ")
    for method, path, allow in [("PUT", "/api/deliveryrequests", "POST"), ("POST", "/healthz", "GET, HEAD"),
                                ("POST", "/api/deliveryrequests/k-1", "GET, HEAD, PATCH, DELETE"),
                                ("BREW", "/api/deliveries/k-1", "GET, HEAD")]:
        answer = door.ask(method, path)
        refused(answer, 405, "Allow")
        check(answer[1]["allow"] == allow, f"{method} {path}: {answer[1]}")
    refused(door.post(document(7)), 400, "the header Idempotency-Key: is missing")
    refused(door.ask("DELETE", "/api/deliveryrequests/k-7", None, {"Idempotency-Key": ""}), 400, "is empty")
    refused(door.post(document(7), "k" * 65), 400, "the header Idempotency-Key: ")
    refused(door.post(document(7), "k" * 49), 400, "the header Idempotency-Key: is longer than 48")
    refused(door.post(document(7), "k 7"), 400, "the header Idempotency-Key: ")
    refused(door.ask("POST", "/api/deliveryrequests", "{}", {"Idempotency-Key": "k"}), 415, "application/json")
    refused(door.ask("POST", "/api/deliveryrequests", "a=b", {
        "Idempotency-Key": "k", "Content-Type": "application/x-www-form-urlencoded"}), 415, "application/json")
    refused(door.post("", "k-7"), 400, r"\$: the request has no body")
    refused(door.post("{", "k-7"), 400, r"\$: is no JSON: line 1")
    refused(door.post(b"{\"owner\":\"\xff\"}", "k-7"), 400, r"\$: is no JSON")
    refused(door.post(document(7, owner=None), "k-7"), 400, r"^\$.owner: is missing")
    refused(door.post(document(7, colour="red"), "k-7"), 400, r"^\$.colour: there is no such field")
    refused(door.post(document(7, pickupLocation={"latitude": 91, "longitude": 0}), "k-7"), 400,
            r"^\$.pickupLocation.latitude: 91 is outside -90..90")
    refused(door.post(document(7, pickupTime="soon"), "k-7"), 400, r"^\$.pickupTime: is no time")
    refused(door.send("PATCH", "/api/deliveryrequests/k-7", {"expedited": True}, "k-7"), 400,
            r"^\$.pickupLocation: is missing")
    refused(door.post("[" * 60000, "k-7"), 400, r"^\$: is no JSON")
    refused(door.post(" " * 65537, "k-7"), 413, "65,536")
    refused(door.ask("POST", "/api/deliveryrequests", iter([b" " * 40000] * 3), {
        "Idempotency-Key": "k-7", "Content-Type": "application/json"}), 413, "65,536")
    check(door.state("k-7")[0] == 404, "something of it was kept")


def half_requests(door):
    """What is not sent to its end leaves nothing, and hinders nobody."""
    body = json.dumps(document(8)).encode()
    head = (b"POST /api/deliveryrequests HTTP/1.1\r\nHost: door\r\nContent-Type: application/json\r\n"
            b"Idempotency-Key: half\r\nContent-Length: %d\r\n\r\n" % len(body))
    for cut in (1, 20, len(head) - 1, len(head), len(head) + 1, len(head) + len(body) - 1):
        with socket.create_connection((door.host, door.port), PATIENCE_S) as s:
            s.sendall((head + body)[:cut])
    with socket.create_connection((door.host, door.port), PATIENCE_S) as s:
        s.sendall(b"GET " + b"/x" * 40000 + b" HTTP/1.1\r\n\r\n")
        s.settimeout(PATIENCE_S)
        try:
            check(re.match(rb"HTTP/1.1 4(14|31) ", s.recv(100)), "an endless path is refused")
        except ConnectionResetError:
            pass  # refused before all of it was read
    check(door.post(document(10), "whole")[0] == 202, "nobody is served any more")
    check(door.state("half")[0] == 404, "half a request was kept")


def call(folder, method, request):
    return subprocess.run([os.path.join(BIN, "tern"), "call", f"unix:{folder}/messages.sock",
                           f"drone.messages.v1.MessageService/{method}", "-d", json.dumps(request)],
                          capture_output=True, text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL)


def enqueue(folder, message_id, key, body):
    """Puts a message into the queue that Ingestion did not."""
    done = call(folder, "Enqueue", {"queue": "requests",
                                    "messages": [{"messageId": message_id, "key": key, "body": body}]})
    check(done.returncode == 0, f"Enqueue: {done.stdout} {done.stderr}")


def dead_letters(folder):
    return call(folder, "ListDeadLetters", {"queue": "requests"}).stdout


def odd_commands(folder, door):
    """Two that have one id, from two doors, say: the second is a dead letter, at once."""
    door.settled("whole", "scheduled")
    # ingestion.v1.Command{cancel{delivery_id: "whole", idempotency_key: "whole"}}: the key is the schedule's.
    enqueue(folder, "odd-1", "whole", "Gg4KBXdob2xlEgV3aG9sZQ==")
    until = time.time() + PATIENCE_S
    while "odd-1" not in dead_letters(folder) and time.time() < until:
        time.sleep(0.05)
    letters = dead_letters(folder)
    check("odd-1" in letters and "was used for another request" in letters, f"dead letters: {letters}")
    check(door.state("whole")[2]["state"] == "scheduled", "what stands was changed")
    sequence = json.loads(letters)["deadLetters"][0]["sequence"]
    done = call(folder, "DropDeadLetter", {"sequence": sequence})
    check(done.returncode == 0, f"DropDeadLetter: {done.stderr}")


def submitted(folder, door):
    """The command line's way through the door."""
    url = f"http://{door.host}:{door.port}"
    done = subprocess.run([PROGRAM, "submit", "--dir", folder, "--http", url, "--generate", "60", "--json",
                           "--accounts", "100", "--cancel-percent", "30", "--update-percent", "30"],
                          capture_output=True, text=True, timeout=PATIENCE_S)
    check(done.returncode == 0, f"submit: {done.stdout} {done.stderr}")
    table = json.loads(done.stdout)
    check(table["accepted"] == 60 and table["cancelled"] > 0 and table["rescheduled"] > 0, f"submit: {table}")
    check(table["by_drone"] > 0 and table["undecided"] == 0, f"submit: {table}")
    done = subprocess.run([PROGRAM, "submit", "--dir", folder, "--http", "http://127.0.0.1:1", "--generate", "1",
                           "--patience-s", "1"], capture_output=True, text=True, timeout=PATIENCE_S)
    check(done.returncode == 1 and re.search("line 1: unanswered: .*127.0.0.1:1", done.stderr),
          f"submit without a door: {done}")


def burst(folder, door, up):
    """Clients that come back until they have an answer, while parts of the system are killed."""
    over = threading.Event()
    numbers = itertools.count()

    def request(n):
        until = time.time() + PATIENCE_S
        while time.time() < until:
            try:
                status = door.post(document(100 + n), f"burst-{n}")[0]
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)  # the door is being opened again
                continue
            if status == 202:
                return True
            if status != 503:
                break
            time.sleep(0.05)
        return False

    def client():
        asked = {}
        while not over.is_set() and len(asked) < BURST:
            n = next(numbers)
            asked[n] = request(n)
            time.sleep(0.01)
        return asked

    def kill(part):
        pid = int(re.findall(rf"^up: {part}: started.*process (\d+)$", up.said, re.M)[-1])
        up.seen = len(up.said)
        os.kill(pid, signal.SIGKILL)
        up.until(rf"^up: {part}: ready")

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(client) for _ in range(CLIENTS)]
        try:
            for part in ("messages", "scheduler", "ingestion", "messages", "scheduler", "ingestion", "drone"):
                time.sleep(0.2)
                kill(part)
        finally:
            over.set()
        asked = {n: good for c in clients for n, good in c.result().items()}
    check(len(asked) > CLIENTS and all(asked.values()),
          f"{sum(asked.values())} of {len(asked)} were accepted")
    for n in asked:
        door.settled(f"burst-{n}", "scheduled", "compensated")


def back_pressure(folder):
    """Without a queue requests wait on disk, up to a limit; when it comes they go there."""
    door_part = Part("ingestion", "--dir", folder, "--http", "127.0.0.1:0", "--buffer-max", "3")
    door = Door(door_part.until(r"ingestion: REST on (http://\S+)").group(1))
    for n in range(3):
        check(door.post(document(n), f"wait-{n}")[0] == 202, f"{n} is refused")
    answer = door.post(document(4), "wait-4")
    refused(answer, 503, "nothing was accepted")
    check(answer[1].get("retry-after") == "1", f"when to come again: {answer[1]}")
    refused(door.ask("GET", "/readyz"), 503, "too many")
    refused(door.state("wait-1"), 503, "scheduler.sock")  # nobody knows what became of it
    door_part.process.kill()
    door_part.process.wait()
    messages = Part("messages", "--dir", folder)
    messages.until("serving on")
    door_part = Part("ingestion", "--dir", folder, "--http", f"127.0.0.1:{door.port}", "--buffer-max", "3")
    door_part.until("REST on")
    until = time.time() + PATIENCE_S
    while door.post(document(4), "wait-4")[0] != 202 and time.time() < until:
        time.sleep(0.05)
    while "\"wait-4\"" not in stored(folder) and time.time() < until:
        time.sleep(0.05)
    check(re.findall(r'"wait-\d"', stored(folder)) == ['"wait-0"', '"wait-1"', '"wait-2"', '"wait-4"'],
          f"the queue: {stored(folder)}")
    taken = subprocess.run([PROGRAM, "ingestion", "--dir", folder + "/other", "--http",
                            f"127.0.0.1:{door.port}"], capture_output=True, text=True, timeout=PATIENCE_S)
    check(taken.returncode == 1 and "Choose another port" in taken.stderr, f"a port that is taken: {taken}")
    door_part.stop()
    messages.stop()


def stored(folder):
    """The keys of the queue's messages in their order, quoted."""
    with sqlite3.connect(f"file:{folder}/messages.db?mode=ro", uri=True) as db:
        rows = db.execute("SELECT body FROM message ORDER BY sequence").fetchall()
    return " ".join(f'"{k.decode()}"' for (body,) in rows for k in re.findall(rb"wait-\d", body)[:1])


def main():
    with tempfile.TemporaryDirectory(prefix="drone-ingestion-") as folder:
        up, door = start_up(os.path.join(folder, "all"))
        all_of_it = os.path.join(folder, "all")
        good_pages(door)
        good_requests(door)
        bad_requests(door)
        half_requests(door)
        odd_commands(all_of_it, door)
        submitted(all_of_it, door)
        burst(all_of_it, door, up)
        up.stop()
        done = subprocess.run([PROGRAM, "check", "--dir", all_of_it], capture_output=True, text=True,
                              timeout=PATIENCE_S)
        check(done.returncode == 0, f"check: {done.stdout[-1500:]}")
        back_pressure(os.path.join(folder, "alone"))
    print("\n".join(failures) if failures else f"{checks} checks passed")
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    try:
        main()
    finally:  # also when a check could not go on; the parts of a system end with it
        for started in Part.started:
            started.kill()
