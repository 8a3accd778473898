#!/usr/bin/python3
"""The tern command against a grpcio server: calls, metadata, deadlines, every status code, health.

The server answers in this process on a free port of loopback and on a Unix socket. Run with $B set to
the build folder.
"""
import base64
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

HERE = os.path.dirname(os.path.abspath(__file__))
PROTOS = os.path.normpath(os.path.join(HERE, "..", "unit", "tools"))
TERN = os.path.join(os.environ.get("B", "build"), "bin", "tern")
SCHEMA = ["-I", PROTOS, "--proto", "mapping.proto"]

checks = 0
failures = []


def check(condition, text):
    global checks
    checks += 1
    if not condition:
        failures.append(f"FAILED: {text}"[:2000])


def tern(*args, data=b"", status=0):
    done = subprocess.run([TERN, *args], input=data, capture_output=True, timeout=60)
    out, err = done.stdout.decode(), done.stderr.decode()
    check(done.returncode == status,
          f"tern {' '.join(args)[:200]} ended with {done.returncode}, not {status}: {err}")
    return out, err


def classes():
    with tempfile.NamedTemporaryFile() as f:
        subprocess.run(["protoc", "--include_imports", "-I", PROTOS, "-o", f.name, "mapping.proto"],
                       check=True, timeout=60)
        files = descriptor_pb2.FileDescriptorSet.FromString(f.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return lambda name: factory.GetPrototype(pool.FindMessageTypeByName("tern.test." + name))


CLASS = classes()


class Server(grpc.GenericRpcHandler):
    """Echo gives back what it got; Fail does what the request's number and text say."""

    def __init__(self):
        self.seen = {}
        self.deadline = None
        self.compression = None
        self.released = threading.Event()

    def service(self, handler_call_details):
        handler = {
            "/tern.test.Probe/Echo": self.echo,
            "/tern.test.Probe/Fail": self.fail,
            "/grpc.health.v1.Health/Check": self.health,
        }.get(handler_call_details.method)
        if handler_call_details.method == "/grpc.health.v1.Health/Watch":
            return grpc.unary_stream_rpc_method_handler(self.watch)
        return handler and grpc.unary_unary_rpc_method_handler(handler)

    def echo(self, request, context):
        self.seen = {}
        for key, value in context.invocation_metadata():
            self.seen.setdefault(key, []).append(value)
        self.deadline = context.time_remaining()
        if self.compression is not None:
            context.set_compression(self.compression)
        context.send_initial_metadata((("x-header", "one"), ("x-data-bin", b"\x00\xff\x01")))
        context.set_trailing_metadata((("x-trailer", "two"),))
        return request

    def fail(self, request, context):
        choice = CLASS("Choice").FromString(request)
        kind = choice.WhichOneof("kind")
        if kind == "text" and choice.text == "garbage":
            return b"\x0a\x05abc"
        if kind == "text" and choice.text == "sleep":
            time.sleep(3)
        if kind == "text" and choice.text.startswith("large "):
            return CLASS("Tree")(name="x" * int(choice.text[6:])).SerializeToString()
        if kind == "number":
            code = [c for c in grpc.StatusCode if c.value[0] == choice.number][0]
            context.abort(code, choice.maybe_text)
        return b""

    def health(self, request, context):
        name = request[2:].decode()
        if name == "unknown":
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return {"": b"\x08\x01", "up": b"\x08\x01", "down": b"\x08\x02", "odd": b"\x08\x09",
                "zero": b""}[name]

    def watch(self, request, context):
        """down, the stranger and up; then what the service's name says."""
        yield b"\x08\x02"
        yield b"\x08\x03"
        yield b"\x08\x01"
        name = request[2:].decode()
        if name == "ends":
            return
        if name == "fails":
            context.abort(grpc.StatusCode.UNAVAILABLE, "shutting down")
        if name == "garbage":
            yield b"\x08"
        self.released.wait(30)


def echo(target, server):
    item = {"scalars": {"fInt64": "-9223372036854775808", "fString": "Grüße", "fBytes": "AP8="},
            "known": {"time": "2024-02-29T12:00:00Z", "any": {
                "@type": "type.googleapis.com/tern.test.Tree", "name": "inside"}}}
    out, err = tern("call", target, "tern.test.Probe/Echo", *SCHEMA, "-d", json.dumps(item))
    check(json.loads(out) == item, f"echo: {out}")
    check(err == "", f"nothing on standard error: {err}")
    out, _ = tern("call", target, "/tern.test.Probe/Echo", *SCHEMA, "-d", "@-", data=json.dumps(item).encode())
    check(json.loads(out) == item, "echo of standard input")
    with tempfile.NamedTemporaryFile("w") as f:
        json.dump(item, f)
        f.flush()
        out, _ = tern("call", target, "tern.test.Probe.Echo", *SCHEMA, "-d", "@" + f.name)
    check(json.loads(out) == item, "echo of a file")
    out, _ = tern("call", target, "tern.test.Probe/Echo", *SCHEMA)
    check(out == "{}\n", f"without -d the request is empty: {out}")
    check(server.deadline is None or server.deadline > 1e6, f"without --timeout no deadline: {server.deadline}")
    with tempfile.TemporaryDirectory() as folder:
        pb = os.path.join(folder, "set.pb")
        subprocess.run(["protoc", "--include_imports", "-I", PROTOS, "-o", pb, "mapping.proto"],
                       check=True, timeout=60)
        out, _ = tern("call", target, "tern.test.Probe/Echo", "--descriptor-set", pb, "--compact",
                      "--original-names", "-d", '{"scalars": {"fInt32": 5}}')
    check(out == '{"scalars":{"f_int32":5}}\n', f"styles: {out}")


def metadata(target, server):
    out, err = tern("call", target, "tern.test.Probe/Echo", *SCHEMA, "--verbose", "-H", "Tenant: blue ", "-H",
                    "tenant:green", "-H", "key-bin: " + base64.b64encode(b"\x00\x01\xfe").decode(),
                    "--timeout", "30s")
    check(out == "{}\n", f"answer alone on standard output: {out}")
    check(server.seen.get("tenant") == ["blue", "green"], f"metadata arrives: {server.seen}")
    check(server.seen.get("key-bin") == [b"\x00\x01\xfe"], f"binary metadata arrives: {server.seen}")
    check(server.seen.get("user-agent", [""])[0].startswith("tern-cli"), f"user agent: {server.seen}")
    check(server.deadline is not None and 20 < server.deadline <= 30, f"deadline: {server.deadline}")
    for line in ("> tenant: blue\n", "> key-bin: AAH+\n", "< header x-header: one\n",
                 "< header x-data-bin: AP8B\n", "< trailer x-trailer: two\n", "< OK after "):
        check(line in err, f"--verbose shows {line!r}: {err}")


def compression(target, server):
    item = json.dumps({"scalars": {"fString": "parcel " * 300}})
    for encoding in ("gzip", "deflate", "identity"):
        out, err = tern("call", target, "tern.test.Probe/Echo", *SCHEMA, "-d", item, "--compress", encoding, "-v")
        check(json.loads(out) == json.loads(item), f"echo with {encoding}: {out}")
        check("bytes, compressed\n" not in err, f"the answer did not come compressed: {err}")
    server.compression = grpc.Compression.Gzip
    out, err = tern("call", target, "tern.test.Probe/Echo", *SCHEMA, "-d", item, "--compress=gzip", "-v")
    server.compression = None
    check(json.loads(out) == json.loads(item) and "bytes, compressed\n" in err, f"compressed answer: {err}")
    _, err = tern("call", target, "tern.test.Probe/Echo", *SCHEMA, "--compress", "lzw", status=2)
    check("--compress lzw: expected gzip, deflate, zstd or identity" in err, f"unknown encoding: {err}")


def statuses(target):
    for code in grpc.StatusCode:
        number, name = code.value[0], code.name
        if number == 0:
            continue
        request = json.dumps({"number": number, "maybeText": f"because {number} \u20ac"})
        out, err = tern("call", target, "tern.test.Probe/Fail", *SCHEMA, "-d", request, status=64 + number)
        check(out == "", f"{name}: nothing on standard output: {out}")
        check(err == f"tern call: {name}: because {number} \u20ac\n", f"{name}: {err}")
    _, err = tern("call", target, "tern.test.Probe/Fail", *SCHEMA, "-d", '{"number": 5}', status=69)
    check(err == "tern call: NOT_FOUND\n", f"without a message: {err}")


def failures_of_the_call(target, folder):
    begin = time.monotonic()
    _, err = tern("call", target, "tern.test.Probe/Fail", *SCHEMA, "-d", '{"text": "sleep"}', "--timeout",
                  "200ms", status=68)
    check("DEADLINE_EXCEEDED" in err, f"deadline: {err}")
    check(time.monotonic() - begin < 2.5, "the deadline ends the call, not the server")
    _, err = tern("call", target, "tern.test.Probe/Fail", *SCHEMA, "-d", '{"text": "garbage"}', status=77)
    check("INTERNAL: the answer is no tern.test.Tree: name: the bytes end" in err, f"garbage: {err}")
    _, err = tern("call", target, "tern.test.Probe/Fail", *SCHEMA, "-d", '{"text": "large 5000000"}', status=72)
    check("RESOURCE_EXHAUSTED" in err, f"larger than 4 MiB: {err}")
    out, _ = tern("call", target, "tern.test.Probe/Fail", *SCHEMA, "-d", '{"text": "large 5000000"}',
                  "--max-receive", "16M")
    check(len(json.loads(out)["name"]) == 5000000, "--max-receive lets it in")
    own = os.path.join(folder, "other.proto")
    with open(own, "w", encoding="utf-8") as f:
        f.write('syntax = "proto3"; package other; message M {} service S { rpc Go(M) returns (M); }')
    _, err = tern("call", target, "other.S/Go", "--proto", own, status=76)
    check("UNIMPLEMENTED" in err, f"unknown method: {err}")
    begin = time.monotonic()
    _, err = tern("call", "ipv4:127.0.0.1:1", "tern.test.Probe/Echo", *SCHEMA, "--timeout", "20s", status=78)
    check("UNAVAILABLE" in err, f"nobody listens: {err}")
    check(time.monotonic() - begin < 10, "nobody listening is told at once")
    _, err = tern("call", "ipv4:nonsense", "tern.test.Probe/Echo", *SCHEMA, status=2)
    check(err.startswith("tern call: "), f"a target that cannot be meant: {err}")
    _, err = tern("call", target, "tern.test.Probe/Fail", *SCHEMA, "-d", '{"numer": 1}', status=2)
    check(err == 'tern call: numer: message tern.test.Choice has no such field; did you mean "number"?\n',
          f"a misspelt field: {err}")


def health(target):
    for service, answer, status in [(None, "SERVING", 0), ("up", "SERVING", 0), ("down", "NOT_SERVING", 1),
                                    ("zero", "UNKNOWN", 1), ("odd", "9", 1)]:
        out, err = tern("health", target, *([service] if service else []), status=status)
        check(out == answer + "\n" and err == "", f"health of {service}: {out}{err}")
    out, err = tern("health", target, "unknown", status=69)
    check(out == "" and err == "tern health: NOT_FOUND: unknown service\n", f"health of unknown: {err}")
    _, err = tern("health", "ipv4:127.0.0.1:1", status=78)
    check("UNAVAILABLE" in err, f"health of nobody: {err}")


def health_watch(target, server):
    lines = "NOT_SERVING\nSERVICE_UNKNOWN\nSERVING\n"
    out, err = tern("health", target, "ends", "--watch")
    check(out == lines and err == "", f"a stream that ends: {out}{err}")
    out, err = tern("health", "--watch", target, "fails", status=78)
    check(out == lines and err == "tern health: UNAVAILABLE: shutting down\n", f"a stream that fails: {out}{err}")
    out, err = tern("health", "--watch", target, "garbage", status=77)
    check(out == lines and "is no grpc.health.v1.HealthCheckResponse" in err, f"no status: {out}{err}")
    out, err = tern("health", "--watch", target, "--timeout", "700ms", "-v", status=68)
    check(out == lines and "< DEADLINE_EXCEEDED after" in err, f"a deadline: {out}{err}")
    running = subprocess.Popen([TERN, "health", target, "--watch"], stdout=subprocess.PIPE)
    check(running.stdout.readline() == b"NOT_SERVING\n", "a line is written when it is there")
    running.kill()
    running.wait(30)
    running.stdout.close()
    with open("/dev/full", "wb") as full:
        done = subprocess.run([TERN, "health", target, "--watch"], stdout=full, stderr=subprocess.PIPE, timeout=30)
    check(done.returncode == 1 and b"standard output cannot be written" in done.stderr, f"full disk: {done}")
    server.released.set()
    _, err = tern("call", "x", "y", "--watch", status=2)
    check("unknown option --watch" in err, f"only health watches: {err}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        handler = Server()
        server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[handler])
        port = server.add_insecure_port("127.0.0.1:0")
        path = os.path.join(folder, "s.sock")
        server.add_insecure_port("unix:" + path)
        server.start()
        for target in (f"ipv4:127.0.0.1:{port}", f"localhost:{port}", f"unix:{path}"):
            echo(target, handler)
        target = f"ipv4:127.0.0.1:{port}"
        metadata(target, handler)
        compression(target, handler)
        statuses(target)
        failures_of_the_call(target, folder)
        health(target)
        health_watch(target, handler)
        server.stop(0).wait(10)
    if failures:
        print("\n".join(failures[:20]))
        sys.exit(f"{len(failures)} of {checks} checks failed")
    print(f"{checks} checks passed")


if __name__ == "__main__":
    main()
