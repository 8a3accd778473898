#!/usr/bin/python3
"""tern-bench as a person uses it: server, latency, load, stream, idle, each against the other and against grpcio
(Debian's python3-grpcio), right answers and wrong ones. No figure is judged, only that
it is there."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from concurrent import futures

import grpc

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("B", ROOT / "build"))
PROGRAM = BUILD / "bin" / "tern-bench"
LIMIT_S = 60
METHOD = "/grpc.testing.BenchmarkService/UnaryCall"


def bench(*words):
    return subprocess.run([str(PROGRAM), *map(str, words)], capture_output=True, text=True,
                          timeout=LIMIT_S, check=False)


class Server:
    """tern-bench server on a free port or a unix socket."""

    def __init__(self, address="ipv4:127.0.0.1:0", *words):
        self.process = subprocess.Popen([str(PROGRAM), "server", "--listen", address, *words],
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), line
        self.address = line.split()[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.status = self.process.wait(LIMIT_S)
        self.process.stdout.close()


def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def request(size, body=b"", status=None):
    """SimpleRequest, by hand: the test needs no generated Python."""
    message = b"\x10" + varint(size & 0xffffffffffffffff)
    message += field(3, field(2, body))
    if status is not None:
        message += field(7, b"\x08" + varint(status) + field(2, b"as asked"))
    return message


def response(body):
    return field(1, field(2, body))


class FakeServer(grpc.GenericRpcHandler):
    """BenchmarkService in grpcio, whose answer the test decides."""

    def __init__(self, answer):
        self.answer = answer
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        self.server.add_generic_rpc_handlers((self,))
        self.address = f"ipv4:127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"

    def service(self, handler_call_details):
        if handler_call_details.method != METHOD:
            return None
        return grpc.unary_unary_rpc_method_handler(lambda _, context: self.answer(context))

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.server.stop(0).wait()


class Clients(unittest.TestCase):
    def test_latency(self):
        with Server() as server:
            text = bench("latency", "--target", server.address, "--count", 500)
            self.assertEqual(text.returncode, 0, text.stderr)
            self.assertRegex(text.stdout, r"mean \d+\.\d+ +p50 \d+\.\d+ +p99 \d+\.\d+")
            got = json.loads(bench("latency", "--target", server.address, "--count", 500, "--json",
                                   "--server-pid", server.process.pid).stdout)
            self.assertEqual(got["count"], 500)
            self.assertLessEqual(got["min_us"], got["p50_us"])
            self.assertLessEqual(got["p50_us"], got["p99_us"])
            self.assertLessEqual(got["p99_us"], got["max_us"])
            self.assertIsNotNone(got["server_cpu_us_per_call"])
        self.assertEqual(server.status, 0)

    def test_load(self):
        with Server("ipv4:127.0.0.1:0", "--threads", "2") as server:
            result = bench("load", "--target", server.address, "--connections", 3, "--concurrency",
                           12, "--duration", 0.5, "--server-pid", server.process.pid, "--json")
            self.assertEqual(result.returncode, 0, result.stderr)
            got = json.loads(result.stdout)
            self.assertGreater(got["calls"], 0)
            self.assertEqual(got["failed"], 0)
            self.assertGreater(got["client_cpu_us_per_call"], 0)
            self.assertGreaterEqual(got["server_cpu_us_per_call"], 0)
            text = bench("load", "--target", server.address, "--duration", 0.3)
            self.assertRegex(text.stdout, r"\d+ right, 0 failed, \d+ calls/s")

    def test_more_connections_than_callers(self):
        with Server() as server:
            result = bench("load", "--target", server.address, "--connections", 5, "--concurrency",
                           2, "--duration", 0.3)
            self.assertEqual(result.returncode, 0, result.stderr)

    def test_sizes_and_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            with Server(f"unix:{folder}/socket", "--execution", "pooled") as server:
                self.assertEqual(server.address, f"unix:{folder}/socket")
                for sizes in ((0, 0), (0, 100), (7, 1), (3, 100000), (5000000, 5000000)):
                    # Long enough for a few calls of the largest, in a sanitizer build as well.
                    seconds = 4 if sizes[0] > 1000000 else 0.2
                    result = bench("load", "--target", server.address, "--concurrency", 2,
                                   "--duration", seconds, "--request-size", sizes[0],
                                   "--response-size", sizes[1])
                    self.assertEqual(result.returncode, 0, f"{sizes}: {result.stderr}")

    def test_resilience(self):
        for what, attempts in (("none", 1), ("all", 4)):
            seen = []

            def refuse(context, seen=seen):
                seen.append(dict(context.invocation_metadata()))
                context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
            with FakeServer(refuse) as server:
                result = bench("latency", "--target", server.address, "--count", 1,
                               "--resilience", what)
            self.assertEqual(result.returncode, 1)
            self.assertIn("not now", result.stderr)
            self.assertEqual(len(seen), attempts, what)
        with Server() as server:
            for what in ("none", "default", "all"):
                result = bench("load", "--target", server.address, "--concurrency", 4,
                               "--duration", 0.2, "--resilience", what)
                self.assertEqual(result.returncode, 0, f"{what}: {result.stderr}")

    def stream(self, server, *words):
        result = bench("stream", "--target", server.address, "--seconds", 0.3, "--server-pid",
                       server.process.pid, "--json", *words)
        self.assertEqual(result.returncode, 0, f"{words}: {result.stderr}")
        return json.loads(result.stdout)

    def test_streams(self):
        with Server() as server:
            for kind in ("ping-pong", "from-server", "from-client", "both-ways"):
                for size in (0, 16, 300000):
                    got = self.stream(server, "--kind", kind, "--size", size)
                    self.assertEqual(got["sent"] > 0, kind in ("from-client", "both-ways"), got)
                    self.assertEqual(got["received"] > 0, kind != "from-client", got)
                    self.assertGreater(got["messages_per_s"], 0)
                    self.assertGreaterEqual(got["server_cpu_us_per_message"], 0)
            self.stream(server, "--kind", "from-client", "--unbuffered")
            self.stream(server, "--kind", "both-ways", "--streams", 5, "--connections", 2)
            text = bench("stream", "--target", server.address, "--seconds", 0.3)
            self.assertRegex(text.stdout, r"ping-pong.*\n.*\d+ messages/s, \d+\.\d MB/s")

    def test_streams_that_fail(self):
        with FakeServer(lambda context: b"") as server:  # it has the unary method only
            for kind in ("ping-pong", "from-server", "from-client", "both-ways"):
                result = bench("stream", "--target", server.address, "--seconds", 0.3, "--kind",
                               kind)
                self.assertEqual(result.returncode, 1, kind)
                self.assertIn("UNIMPLEMENTED", result.stderr)
                self.assertEqual(result.stdout, "")

    def test_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            cert, key = f"{folder}/cert.pem", f"{folder}/key.pem"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                            "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                            key, "-out", cert], check=True, capture_output=True)
            with Server("ipv4:127.0.0.1:0", "--tls-cert", cert, "--tls-key", key) as server:
                self.stream(server, "--kind", "both-ways", "--tls-roots", cert)
                result = bench("load", "--target", server.address, "--duration", 0.3,
                               "--tls-roots", cert)
                self.assertEqual(result.returncode, 0, result.stderr)
                result = bench("latency", "--target", server.address, "--count", 5)
                self.assertEqual(result.returncode, 1)  # in cleartext
                result = bench("latency", "--target", server.address, "--tls-roots", key)
                self.assertEqual(result.returncode, 1)
                self.assertIn(key, result.stderr)
            result = bench("server", "--listen", "ipv4:127.0.0.1:0", "--tls-cert", cert,
                           "--tls-key", f"{folder}/none.pem")
            self.assertEqual(result.returncode, 1)
            self.assertIn("none.pem", result.stderr)

    def test_idle(self):
        with Server() as server:
            result = bench("idle", "--target", server.address, "--connections", 50,
                           "--server-pid", server.process.pid, "--json")
            self.assertEqual(result.returncode, 0, result.stderr)
            got = json.loads(result.stdout)
            self.assertEqual(got["connections"], 50)
            self.assertGreater(got["server_bytes_before"], 0)
            text = bench("idle", "--target", server.address, "--connections", 5, "--server-pid",
                         server.process.pid)
            self.assertRegex(text.stdout, r"5 connections, all up\n.* KiB for each")
            gone = subprocess.Popen(["true"])
            gone.wait()
            result = bench("idle", "--target", server.address, "--connections", 1, "--server-pid",
                           gone.pid)
            self.assertEqual(result.returncode, 1)
            self.assertIn("no process", result.stderr)

    def test_zeros_are_a_right_answer(self):
        with FakeServer(lambda context: response(bytes(100))) as server:
            result = bench("latency", "--target", server.address, "--count", 20)
            self.assertEqual(result.returncode, 0, result.stderr)

    def wrong(self, answer, message):
        with FakeServer(answer) as server:
            for words in (("latency", "--count", 20), ("load", "--duration", 0.3)):
                result = bench(*words, "--target", server.address)
                self.assertEqual(result.returncode, 1)
                self.assertIn(message, result.stderr)
                self.assertNotIn("cpu us/call", result.stdout)

    def test_wrong_size(self):
        self.wrong(lambda context: response(bytes(99)), "99 bytes of payload, 100")

    def test_wrong_content(self):
        self.wrong(lambda context: response(bytes(99) + b"x"), "neither the request's nor zeros")

    def test_no_payload(self):
        self.wrong(lambda context: b"", "0 bytes of payload, 100")

    def test_failure(self):
        self.wrong(lambda context: context.abort(grpc.StatusCode.NOT_FOUND, "nothing here"),
                   "NOT_FOUND: nothing here")

    def test_some_failures_show_in_the_result(self):
        calls = iter(range(1 << 60))

        def answer(context):
            if next(calls) % 10 == 9:
                context.abort(grpc.StatusCode.INTERNAL, "every tenth")
            return response(bytes(100))
        with FakeServer(answer) as server:
            result = bench("load", "--target", server.address, "--duration", 1, "--json")
            self.assertEqual(result.returncode, 1)
            self.assertGreater(json.loads(result.stdout)["failed"], 0)
            self.assertIn("INTERNAL: every tenth", result.stderr)

    def test_nobody_there(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can take it
            address = f"ipv4:127.0.0.1:{taken.getsockname()[1]}"
            for command in ("latency", "load"):
                result = bench(command, "--target", address)
                self.assertEqual(result.returncode, 1)
                self.assertIn(address, result.stderr)
                self.assertIn("UNAVAILABLE", result.stderr)


class Serving(unittest.TestCase):
    def call(self, address, message, method=METHOD):
        with grpc.insecure_channel(address.removeprefix("ipv4:")) as channel:
            return channel.unary_unary(method)(message, timeout=LIMIT_S)

    def failure(self, address, message, method=METHOD):
        with self.assertRaises(grpc.RpcError) as caught:
            self.call(address, message, method)
        return caught.exception

    def test_grpcio_calls(self):
        with Server() as server:
            self.assertEqual(self.call(server.address, request(7, b"abc")), response(b"abcabca"))
            self.assertEqual(self.call(server.address, request(2, b"abc")), response(b"ab"))
            self.assertEqual(self.call(server.address, request(3)), response(b"\0\0\0"))
            self.assertEqual(self.call(server.address, b""), b"\x0a\x00")

    def test_bad_requests(self):
        with Server() as server:
            for size in (-1, -(1 << 31), (1 << 26) + 1, (1 << 31) - 1):
                error = self.failure(server.address, request(size))
                self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
                self.assertIn("response_size", error.details())
            error = self.failure(server.address, request(1, status=17))
            self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
            self.assertIn("response_status.code", error.details())

    def test_status_on_request(self):
        with Server() as server:
            error = self.failure(server.address, request(1, status=9))
            self.assertEqual(error.code(), grpc.StatusCode.FAILED_PRECONDITION)
            self.assertEqual(error.details(), "as asked")
            self.assertEqual(self.call(server.address, request(1, b"x", 0)), response(b"x"))

    def stream(self, channel, name, kind):
        return getattr(channel, kind)(f"/grpc.testing.BenchmarkService/{name}")

    def test_grpcio_streams(self):
        with Server() as server, \
                grpc.insecure_channel(server.address.removeprefix("ipv4:")) as channel:
            call = self.stream(channel, "StreamingCall", "stream_stream")
            self.assertEqual(list(call(iter([request(4, b"ab"), request(1, b"z"), request(2)]),
                                       timeout=LIMIT_S)),
                             [response(b"abab"), response(b"z"), response(bytes(2))])
            call = self.stream(channel, "StreamingFromClient", "stream_unary")
            self.assertEqual(call(iter([request(9, b"ab"), request(3, b"ab")]), timeout=LIMIT_S),
                             response(bytes(3)))
            self.assertEqual(call(iter([]), timeout=LIMIT_S), b"\n\0")
            call = self.stream(channel, "StreamingFromServer", "unary_stream")
            answers = call(request(5, b"ab"), timeout=LIMIT_S)
            for _ in range(1000):
                self.assertEqual(next(answers), response(b"ababa"))
            answers.cancel()
            with self.assertRaises(grpc.RpcError):
                for _ in answers:
                    pass
            self.assertEqual(answers.code(), grpc.StatusCode.CANCELLED)

    def test_grpcio_both_ways(self):
        with Server() as server, \
                grpc.insecure_channel(server.address.removeprefix("ipv4:")) as channel:
            call = self.stream(channel, "StreamingBothWays", "stream_stream")
            self.assertEqual(list(call(iter([]), timeout=LIMIT_S)), [])
            enough = threading.Event()

            def requests():
                yield request(3, b"ab")
                enough.wait(LIMIT_S)
            n = 0
            for answer in call(requests(), timeout=LIMIT_S):
                self.assertEqual(answer, response(b"aba"))
                n += 1
                if n == 1000:
                    enough.set()
            self.assertGreaterEqual(n, 1000)

    def test_bad_requests_on_streams(self):
        bad = request(-1, b"x")
        with Server() as server, \
                grpc.insecure_channel(server.address.removeprefix("ipv4:")) as channel:
            for name, kind in (("StreamingCall", "stream_stream"),
                               ("StreamingFromClient", "stream_unary"),
                               ("StreamingFromServer", "unary_stream"),
                               ("StreamingBothWays", "stream_stream")):
                with self.assertRaises(grpc.RpcError) as caught:
                    call = self.stream(channel, name, kind)
                    argument = bad if kind == "unary_stream" else iter([bad])
                    result = call(argument, timeout=LIMIT_S)
                    if kind != "stream_unary":
                        list(result)
                self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT, name)
                self.assertIn("response_size", caught.exception.details())

    def test_port_in_use(self):
        with Server() as server:
            result = bench("server", "--listen", server.address)
            self.assertEqual(result.returncode, 1)
            self.assertIn("in use", result.stderr)
            self.assertEqual(len(result.stderr.splitlines()), 1)


class CommandLine(unittest.TestCase):
    def test_help(self):
        result = bench("--help")
        self.assertEqual(result.returncode, 0)
        for option in ("--listen", "--threads", "--target", "--count", "--connections",
                       "--concurrency", "--duration", "--request-size", "--json", "Examples"):
            self.assertIn(option, result.stdout)

    def test_every_example_of_the_help_is_understood(self):
        examples = re.sub(r" \\\n", " ", bench("--help").stdout.split("Examples:")[1])
        commands = [line.split() for line in examples.strip().splitlines()]
        self.assertEqual(len(commands), 4)
        for words in commands:
            words = [word for word in words if not re.search(r"[$()]|^-s$|^tern-bench\)$", word)]
            words = [word for word in words if word != "--server-pid"]
            result = bench(*words[1:], "--nonsense")
            self.assertEqual(result.returncode, 2)
            self.assertIn("'--nonsense' is not known", result.stderr)

    def test_mistakes(self):
        for words in ((), ("serve",), ("server",), ("load", "--target", "a:1", "--duration", "0"),
                      ("idle", "--target", "a:1"), ("stream", "--kind", "both-ways")):
            result = bench(*words)
            self.assertEqual(result.returncode, 2)
            self.assertEqual(len(result.stderr.splitlines()), 1)
            self.assertEqual(result.stdout, "")


if __name__ == "__main__":
    if not PROGRAM.exists():
        sys.exit(f"{PROGRAM} is not there: run make first")
    unittest.main()
