#!/usr/bin/python3
"""tern call of streaming methods, against a grpcio server and a Tern server (the interop server):
messages from -d, files and standard input, conversations, failures in the middle, Ctrl-C. Run with $B
set to the build folder.
"""
import json
import os
import queue
import signal
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
TOP_PROTOS = os.path.normpath(os.path.join(HERE, "..", "..", "proto"))
B = os.environ.get("B", "build")
TERN = os.path.join(B, "bin", "tern")
INTEROP = os.path.join(B, "interop", "tern-server")
SCHEMA = ["-I", PROTOS, "--proto", "mapping.proto"]
TEST_SCHEMA = ["-I", TOP_PROTOS, "--proto", "grpc/testing/test.proto"]
SECONDS = 60

checks = 0
failures = []


def check(condition, text):
    global checks
    checks += 1
    if not condition:
        failures.append(f"FAILED: {text}"[:2000])


def tern(*args, data=b"", status=0):
    done = subprocess.run([TERN, *args], input=data, capture_output=True, timeout=SECONDS)
    out, err = done.stdout.decode(), done.stderr.decode()
    check(done.returncode == status,
          f"tern {' '.join(args)[:200]} ended with {done.returncode}, not {status}: {err}")
    return out, err


def lines(out):
    return [json.loads(line) for line in out.splitlines()]


def classes():
    with tempfile.NamedTemporaryFile() as f:
        subprocess.run(["protoc", "--include_imports", "-I", PROTOS, "-o", f.name, "mapping.proto"],
                       check=True, timeout=SECONDS)
        files = descriptor_pb2.FileDescriptorSet.FromString(f.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return lambda name: factory.GetPrototype(pool.FindMessageTypeByName("tern.test." + name))


CLASS = classes()


class Server(grpc.GenericRpcHandler):
    """Watch counts up to a number, Collect joins texts, Chat answers each text."""

    def __init__(self):
        self.ended = queue.Queue()
        self.deadline = None
        self.metadata = {}

    def service(self, handler_call_details):
        def make(kind, function):
            return kind(function, CLASS("Choice").FromString, CLASS("Tree").SerializeToString)
        return {
            "/tern.test.Probe/Watch": make(grpc.unary_stream_rpc_method_handler, self.watch),
            "/tern.test.Probe/Collect": make(grpc.stream_unary_rpc_method_handler, self.collect),
            "/tern.test.Probe/Chat": make(grpc.stream_stream_rpc_method_handler, self.chat),
        }.get(handler_call_details.method)

    def note(self, context):
        self.deadline = context.time_remaining()
        self.metadata = dict(context.invocation_metadata())
        context.add_callback(lambda: self.ended.put(context.code()))
        context.send_initial_metadata((("x-header", "one"),))
        context.set_trailing_metadata((("x-trailer", "two"),))

    def watch(self, request, context):
        self.note(context)
        for i in range(request.number):
            yield CLASS("Tree")(name=str(i))
        if request.maybe_text == "fail":
            context.abort(grpc.StatusCode.NOT_FOUND, "no more")
        if request.maybe_text == "hang":
            while context.is_active():
                time.sleep(0.05)

    def collect(self, requests, context):
        self.note(context)
        return CLASS("Tree")(name="+".join(r.text for r in requests))

    def chat(self, requests, context):
        self.note(context)
        for request in requests:
            if request.text == "bye":
                context.abort(grpc.StatusCode.ABORTED, "bye then")
            yield CLASS("Tree")(name="re: " + request.text)


def server_streaming(target, server):
    out, err = tern("call", target, "tern.test.Probe/Watch", *SCHEMA, "-d", '{"number": 3}', "--compact")
    check(out == '{"name":"0"}\n{"name":"1"}\n{"name":"2"}\n', f"three answers: {out}")
    check(err == "", f"nothing on standard error: {err}")
    out, _ = tern("call", target, "tern.test.Probe/Watch", *SCHEMA)
    check(out == "", f"no answer: {out}")
    out, err = tern("call", target, "tern.test.Probe/Watch", *SCHEMA, "--compact", "-d",
                    '{"number": 2, "maybeText": "fail"}', status=69)
    check(len(lines(out)) == 2 and err == "tern call: NOT_FOUND: no more\n", f"failure at the end: {out}{err}")
    _, err = tern("call", target, "tern.test.Probe/Watch", *SCHEMA, "-d", '{"number": 1} {"number": 2}', status=2)
    check("-d" in err, f"one request, not two: {err}")
    begin = time.monotonic()
    out, err = tern("call", target, "tern.test.Probe/Watch", *SCHEMA, "--compact", "--timeout", "500ms", "-d",
                    '{"number": 1, "maybeText": "hang"}', status=68)
    check(len(lines(out)) == 1 and "DEADLINE_EXCEEDED" in err, f"the deadline ends it: {out}{err}")
    check(time.monotonic() - begin < 10, "and in time")
    out, err = tern("call", target, "tern.test.Probe/Watch", *SCHEMA, "-d", '{"number": 2}', "-v", "-H",
                    "tenant: blue", "--timeout", "30s", "--compress", "gzip")
    check(server.metadata.get("tenant") == "blue", f"metadata arrives: {server.metadata}")
    check(20 < server.deadline <= 30, f"so does the deadline: {server.deadline}")
    for text in ("> tenant: blue\n", "< header x-header: one\n", "< trailer x-trailer: two\n", "< OK after",
                 "1 sent, 2 received"):
        check(text in err, f"--verbose shows {text!r}: {err}")
    out, _ = tern("call", target, "tern.test.Probe/Watch", *SCHEMA, "-d", '{"number": 3000}', "--compact")
    check([m["name"] for m in lines(out)] == [str(i) for i in range(3000)], "3000 answers in order")


def client_streaming(target):
    texts = ['{"text": "a"}', '{"text": "b {[\\"}"}', '{"text": "c"}']
    for data in ("\n".join(texts), "".join(texts), " ".join(texts) + "\n\n"):
        out, _ = tern("call", target, "tern.test.Probe/Collect", *SCHEMA, "-d", data)
        check(json.loads(out) == {"name": 'a+b {["}+c'}, f"three requests: {out}")
        out, _ = tern("call", target, "tern.test.Probe/Collect", *SCHEMA, "-d", "@-", data=data.encode())
        check(json.loads(out) == {"name": 'a+b {["}+c'}, f"three requests of standard input: {out}")
    for args in ([], ["-d", ""], ["-d", "@-"]):
        out, _ = tern("call", target, "tern.test.Probe/Collect", *SCHEMA, *args)
        check(out == "{}\n", f"no request: {out}")
    with tempfile.NamedTemporaryFile("w") as f:
        f.write("\n".join('{"text": "%d"}' % i for i in range(20000)))
        f.flush()
        out, _ = tern("call", target, "tern.test.Probe/Collect", *SCHEMA, "-d", "@" + f.name)
    check(json.loads(out)["name"] == "+".join(str(i) for i in range(20000)), "20000 requests of a file")
    _, err = tern("call", target, "tern.test.Probe/Collect", *SCHEMA, "-d", "@/nowhere/x", status=2)
    check("/nowhere/x cannot be opened: No such file" in err, f"no such file: {err}")
    _, err = tern("call", target, "tern.test.Probe/Collect", *SCHEMA, "-d", texts[0] + '{"txt": "b"}', status=2)
    check(err == 'tern call: message 2 of -d: txt: message tern.test.Choice has no such field; did you mean '
          '"text"?\n', f"a misspelt field in the second: {err}")
    for half in ('{"text": "a"', '{"text": "a', "]", "nonsense"):
        _, err = tern("call", target, "tern.test.Probe/Collect", *SCHEMA, "-d", texts[0] + half, status=2)
        check("message 2 of -d" in err, f"{half} is no JSON: {err}")


class Conversation:
    """tern call with both ends in our hands."""

    def __init__(self, *args):
        self.process = subprocess.Popen([TERN, "call", *args, "-d", "@-", "--compact"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def say(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def hear(self):
        try:
            return self.lines.get(timeout=SECONDS)
        except queue.Empty:
            return None

    def end(self, status):
        try:
            self.process.wait(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
        check(self.process.returncode == status, f"ended with {self.process.returncode}, not {status}")
        return self.process.stderr.read().decode()


def bidi(target, server):
    out, _ = tern("call", target, "tern.test.Probe/Chat", *SCHEMA, "--compact", "-d", '{"text":"a"}{"text":"b"}')
    check(lines(out) == [{"name": "re: a"}, {"name": "re: b"}], f"two and two: {out}")
    c = Conversation(target, "tern.test.Probe/Chat", *SCHEMA)
    for text in ("one", "two"):
        c.say('{"te')
        c.say('xt": "%s"}' % text)  # no end of line: complete when the bracket closes
        heard = c.hear()
        check(heard == {"name": "re: " + text}, f"an answer before the input ends: {heard}")
    c.process.stdin.close()
    check(c.end(0) == "", "a conversation ends well")
    # The server ends it while standard input is still open.
    c = Conversation(target, "tern.test.Probe/Chat", *SCHEMA)
    c.say('{"text": "bye"}')
    check(c.end(74) == "tern call: ABORTED: bye then\n", "the server's end is the end")
    c.process.stdin.close()
    # Bad input in the middle cancels the call.
    while not server.ended.empty():
        server.ended.get()
    c = Conversation(target, "tern.test.Probe/Chat", *SCHEMA)
    c.say('{"text": "one"}')
    c.hear()
    c.say('{"text": 1}')
    err = c.end(2)
    check("message 2 of standard input: text: expected a string" in err, f"bad input: {err}")
    c.process.stdin.close()
    server.ended.get(timeout=SECONDS)  # the handler on the other side has ended


def interrupt(target, server):
    while not server.ended.empty():
        server.ended.get()
    c = Conversation(target, "tern.test.Probe/Chat", *SCHEMA)
    c.say('{"text": "one"}')
    c.hear()
    c.process.send_signal(signal.SIGINT)
    err = c.end(65)
    check(err.startswith("tern call: CANCELLED"), f"Ctrl-C cancels: {err}")
    server.ended.get(timeout=SECONDS)
    c.process.stdin.close()
    p = subprocess.Popen([TERN, "call", target, "tern.test.Probe/Watch", *SCHEMA, "--compact", "-d",
                          '{"number": 1, "maybeText": "hang"}'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.readline()
    p.send_signal(signal.SIGTERM)
    check(p.wait(timeout=SECONDS) == 65, f"SIGTERM as well: {p.returncode}")
    server.ended.get(timeout=SECONDS)


def against_tern():
    p = subprocess.Popen([INTEROP, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        line = p.stdout.readline().decode()
        port = line.strip().rsplit(":", 1)[-1].split()[-1]
        target = f"ipv4:127.0.0.1:{port}"
        service = "grpc.testing.TestService/"
        sizes = {"responseParameters": [{"size": 3}, {"size": 5}]}
        out, _ = tern("call", target, service + "StreamingOutputCall", *TEST_SCHEMA, "--compact", "-d",
                      json.dumps(sizes))
        check(len(lines(out)) == 2, f"StreamingOutputCall: {out}")
        out, _ = tern("call", target, service + "StreamingInputCall", *TEST_SCHEMA, "-d",
                      '{"payload": {"body": "AAAA"}} {"payload": {"body": "AAAAAAAA"}}', "--compress=gzip")
        check(json.loads(out) == {"aggregatedPayloadSize": 9}, f"StreamingInputCall: {out}")
        c = Conversation(target, service + "FullDuplexCall", *TEST_SCHEMA)
        for _ in range(3):
            c.say('{"responseParameters": [{"size": 2}]}')
            heard = c.hear()
            check(heard is not None and heard["payload"]["body"] == "AAA=", f"FullDuplexCall: {heard}")
        c.say('{"responseStatus": {"code": 9, "message": "enough"}}')
        check(c.end(73) == "tern call: FAILED_PRECONDITION: enough\n", "the status of FullDuplexCall")
        c.process.stdin.close()
        out, _ = tern("call", target, service + "EmptyCall", *TEST_SCHEMA)
        check(out == "{}\n", f"EmptyCall: {out}")
    finally:
        p.terminate()
        p.wait(timeout=SECONDS)


def main():
    handler = Server()
    server = grpc.server(futures.ThreadPoolExecutor(16), handlers=[handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    target = f"ipv4:127.0.0.1:{port}"
    server_streaming(target, handler)
    client_streaming(target)
    bidi(target, handler)
    interrupt(target, handler)
    server.stop(0).wait(10)
    against_tern()
    if failures:
        print("\n".join(failures[:20]))
        sys.exit(f"{len(failures)} of {checks} checks failed")
    print(f"{checks} checks passed")


if __name__ == "__main__":
    main()
