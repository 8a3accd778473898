#!/usr/bin/python3
"""Reflection between implementations: the tern command without .proto files, against a Tern server, a
grpcio server with nothing but v1alpha that sends single files, odd servers, and grpc++'s reflection where
`make interop` has built it; and grpcio asking a Tern server, whose descriptors Google's own code has to
accept. Run with $B set to the build folder.
"""
import json
import os
import subprocess
import sys
import tempfile
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

HERE = os.path.dirname(os.path.abspath(__file__))
PROTOS = os.path.normpath(os.path.join(HERE, "..", "unit", "tools"))
TOP_PROTOS = os.path.normpath(os.path.join(HERE, "..", "..", "proto"))
B = os.environ.get("B", "build")
TERN = os.path.join(B, "bin", "tern")
TERN_SERVER = os.path.join(B, "interop", "tern-server")
CPP_SERVER = os.path.join(B, "interop", "cpp-server")
SECONDS = 60

checks = 0
failures = []


def check(condition, text):
    global checks
    checks += 1
    if not condition:
        failures.append(f"FAILED: {text}"[:2000])


def tern(*args, status=0):
    done = subprocess.run([TERN, *args], capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    out, err = done.stdout.decode(), done.stderr.decode()
    check(done.returncode == status,
          f"tern {' '.join(args)[:200]} ended with {done.returncode}, not {status}: {err}")
    return out, err


def files_of(folder, name):
    with tempfile.NamedTemporaryFile() as f:
        subprocess.run(["protoc", "--include_imports", "-I", folder, "-o", f.name, name], check=True,
                       timeout=SECONDS)
        return descriptor_pb2.FileDescriptorSet.FromString(f.read()).file


def classes(files):
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return lambda name: factory.GetPrototype(pool.FindMessageTypeByName(name))


V1 = classes(files_of(TOP_PROTOS, "grpc/reflection/v1/reflection.proto"))
REQUEST = V1("grpc.reflection.v1.ServerReflectionRequest")
RESPONSE = V1("grpc.reflection.v1.ServerReflectionResponse")


def path(version):
    return f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"


class Reflection(grpc.GenericRpcHandler):
    """Reflection of mapping.proto, one file for each question, or what `answer` says; and Probe/Watch."""

    def __init__(self, version, answer=None):
        self.files = files_of(PROTOS, "mapping.proto")
        self.version = version
        self.answer = answer
        self.asked = []
        self.tenants = []

    def service(self, details):
        if details.method == path(self.version):
            return grpc.stream_stream_rpc_method_handler(self.info, REQUEST.FromString,
                                                         RESPONSE.SerializeToString)
        if details.method == "/tern.test.Probe/Watch":
            return grpc.unary_stream_rpc_method_handler(lambda request, context: iter([b"", b""]))
        return None

    def info(self, requests, context):
        self.tenants.append(dict(context.invocation_metadata()).get("tenant"))
        for request in requests:
            self.asked.append(request.WhichOneof("message_request"))
            yield self.answer(request) if self.answer else self.reply(request)

    def reply(self, request):
        response = RESPONSE(original_request=request)
        kind = request.WhichOneof("message_request")
        if kind == "list_services":
            for name in ("tern.test.Probe", "no.Files", "odd\x1b[2J"):
                response.list_services_response.service.add(name=name)
            return response
        for file in self.files:
            symbols = [f"{file.package}.{x.name}" for x in list(file.service) + list(file.message_type)]
            if request.file_by_filename == file.name or request.file_containing_symbol in symbols:
                response.file_descriptor_response.file_descriptor_proto.append(file.SerializeToString())
                return response
        response.error_response.error_code = 5
        response.error_response.error_message = "not found"
        return response


def serve(handler):
    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[handler] if handler else [])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"ipv4:127.0.0.1:{port}"


def start(program):
    p = subprocess.Popen([program, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    line = p.stdout.readline().decode()
    return p, f"127.0.0.1:{line.split()[-1]}"


def test_service(target, own):
    """A server of grpc.testing.TestService, known by nothing but its address."""
    out, _ = tern("list", target)
    check("grpc.testing.TestService\n  grpc.testing.TestService/EmptyCall (grpc.testing.Empty) returns "
          "(grpc.testing.Empty)\n" in out, f"list: {out}")
    check(own + "\n" in out, f"reflection lists itself: {out}")
    out, _ = tern("list", target, "grpc.testing.TestService")
    check(out.startswith("grpc.testing.TestService\n") and "reflection" not in out, f"one service: {out}")
    out, _ = tern("describe", target, "grpc.testing.SimpleRequest", "grpc.testing.TestService/UnaryCall")
    check("message SimpleRequest {" in out and "rpc UnaryCall(" in out, f"describe: {out}")
    out, _ = tern("describe", target, "grpc.testing.TestService.UnaryCall")
    check("rpc UnaryCall(" in out, f"describe by dots: {out}")
    out, _ = tern("call", target, "grpc.testing.TestService/UnaryCall", "-d", '{"responseSize": 3}', "--compact")
    check(json.loads(out)["payload"]["body"] == "AAAA", f"call: {out}")
    out, _ = tern("call", target, "grpc.testing.TestService/StreamingOutputCall", "-d",
                  '{"responseParameters": [{"size": 1}, {"size": 2}]}', "--compact")
    check(len(out.splitlines()) == 2, f"call of a stream: {out}")
    _, err = tern("call", target, "grpc.testing.TestServic/UnaryCall", status=2)
    check(f"{target} knows no grpc.testing.TestServic; `tern list {target}` shows" in err, f"misspelt: {err}")
    _, err = tern("call", target, "grpc.testing.TestService/UnaryCal", status=2)
    check("did you mean grpc.testing.TestService.UnaryCall?" in err, f"a misspelt method: {err}")
    _, err = tern("describe", target, "grpc.testing.Nothing", status=2)
    check("no grpc.testing.Nothing" in err, f"describe of nothing: {err}")
    _, err = tern("list", target, "grpc.testing.SimpleRequest", status=2)
    check("is a message, not a service" in err, f"list of a message: {err}")


def grpcio_asks(target):
    """Google's descriptor pool takes what a Tern server says, and it is what protoc says."""
    with grpc.insecure_channel(target) as channel:
        for version in ("v1", "v1alpha"):
            info = channel.stream_stream(path(version), REQUEST.SerializeToString, RESPONSE.FromString)
            questions = [REQUEST(host="h", list_services="*"),
                         REQUEST(host="h", file_containing_symbol="grpc.testing.TestService"),
                         REQUEST(host="h", file_by_filename="grpc/testing/nothing.proto"),
                         REQUEST(host="h", file_by_filename="grpc/testing/messages.proto"),
                         REQUEST(host="h")]
            answers = list(info(iter(questions), timeout=SECONDS))
            check([a.original_request for a in answers] == questions, f"{version}: original requests")
            check([a.valid_host for a in answers] == ["h"] * 5, f"{version}: valid_host")
            names = [s.name for s in answers[0].list_services_response.service]
            check("grpc.testing.TestService" in names and names == sorted(names), f"{version}: {names}")
            files = [descriptor_pb2.FileDescriptorProto.FromString(f)
                     for f in answers[1].file_descriptor_response.file_descriptor_proto]
            expected = files_of(TOP_PROTOS, "grpc/testing/test.proto")
            check(files[0].name == "grpc/testing/test.proto", f"{version}: the file comes first")
            check(sorted(f.name for f in files) == sorted(f.name for f in expected), f"{version}: all imports")
            order = {f.name: f for f in files}
            pool = descriptor_pool.DescriptorPool()
            for file in expected:  # imports first
                pool.Add(order[file.name])
            service = pool.FindServiceByName("grpc.testing.TestService")
            check(len(service.methods) == 8, f"{version}: {len(service.methods)} methods")
            check(answers[2].error_response.error_code == 5, f"{version}: NOT_FOUND: {answers[2]}")
            check(len(answers[3].file_descriptor_response.file_descriptor_proto) == 1,
                  f"{version}: imports are not sent twice")
            check(answers[4].error_response.error_code == 3, f"{version}: INVALID_ARGUMENT: {answers[4]}")


def single_files():
    for version in ("v1", "v1alpha"):
        handler = Reflection(version)
        server, target = serve(handler)
        out, _ = tern("list", target, "-H", "tenant: blue")
        check("\nno.Files\nodd?[2J\n" in out and out.startswith("tern.test.Probe\n  tern.test.Probe/Echo ("),
              f"a service without files, and an odd name: {out!r}")
        check(handler.tenants == ["blue"], f"metadata goes along: {handler.tenants}")
        check("file_by_filename" in handler.asked, f"imports are asked for: {handler.asked}")
        out, _ = tern("call", target, "tern.test.Probe/Watch", "--compact")
        check(out == "{}\n{}\n", f"call: {out}")
        out, _ = tern("describe", target, "tern.test.Everything")
        check("message Everything {" in out, f"describe: {out}")
        server.stop(0).wait(10)


def odd_servers():
    server, target = serve(None)
    for args in (["list", target], ["call", target, "a.B/C"], ["describe", target, "a.B"]):
        _, err = tern(*args, status=76)
        check(f"UNIMPLEMENTED: {target} offers no reflection" in err and "--proto FILE" in err, f"none: {err}")
    server.stop(0).wait(10)
    _, err = tern("list", "ipv4:127.0.0.1:1", status=78)
    check("UNAVAILABLE" in err, f"nobody: {err}")

    def files(*blobs):
        def answer(request):
            response = RESPONSE()
            response.file_descriptor_response.file_descriptor_proto.extend(blobs)
            return response
        return answer

    def error(request):
        response = RESPONSE()
        response.error_response.error_code = 13
        response.error_response.error_message = "out of order"
        return response
    odd = [(lambda request: RESPONSE(), 77, "INTERNAL"),
           (error, 77, "answers with the error INTERNAL: out of order"),
           (files(), 77, "no file"),
           (files(b"\xff\xff"), 77, "a file that has no name"),
           (files(b"\x0a\x01x\x1a\x05a"), 77, "malformed"),
           (files(b"\x0a\x01x\x22\x05a"), 77, "malformed"),
           (files(b"\x0a\x01x"), 2, "no method")]
    for answer, status, text in odd:
        server, target = serve(Reflection("v1", answer))
        _, err = tern("call", target, "a.B/C", "--timeout", "20s", status=status)
        check(text in err, f"expected {text}: {err}")
        server.stop(0).wait(10)


def main():
    p, target = start(TERN_SERVER)
    try:
        test_service(target, "grpc.reflection.v1.ServerReflection")
        grpcio_asks(target)
    finally:
        p.terminate()
        p.wait(timeout=SECONDS)
    single_files()
    odd_servers()
    if os.path.exists(CPP_SERVER):  # built by `make interop`, whose peers `make test` does not need
        p, target = start(CPP_SERVER)
        try:
            test_service(target, "grpc.reflection.v1alpha.ServerReflection")
        finally:
            p.terminate()
            p.wait(timeout=SECONDS)
    if failures:
        print("\n".join(failures[:20]))
        sys.exit(f"{len(failures)} of {checks} checks failed")
    print(f"{checks} checks passed")


if __name__ == "__main__":
    main()
