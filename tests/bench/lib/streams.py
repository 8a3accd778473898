"""Streams beside grpc++'s, TLS beside cleartext, and what a connection costs that nobody uses."""
import contextlib
import pathlib
import subprocess
import tempfile

from lib import programs as p
from lib.processes import Failure, cpus, environment, run_json, server
from lib.series import in_rounds

IDLE_LIMIT_S = 300
CLEARTEXT, TLS = "cleartext", "TLS"
UNARY_SIZES = (100, p.LARGE)
# (kind, size) of what is streamed.
STREAMS = [(p.PING_PONG, p.SMALL), (p.FROM_SERVER, p.SMALL), (p.FROM_CLIENT, p.SMALL),
           (p.BOTH_WAYS, p.SMALL), (p.FROM_SERVER, p.LARGE), (p.FROM_CLIENT, p.LARGE),
           (p.BOTH_WAYS, p.LARGE)]


def stream_case(name, kind, size):
    return f"{name} {kind} {size}"


def unary_case(how, size):
    return f"{how} unary {size}"


@contextlib.contextmanager
def certificate():
    """A folder with cert.pem and key.pem: self-signed, for 127.0.0.1, made for this run."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                   "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                   "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem",
                   "-out", folder / "cert.pem"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise Failure(f"openssl made no certificate: {result.stderr.strip()}")
        yield folder


def streams(progs, rounds, seconds, progress, names):
    """Tern -> Tern and grpc++ -> grpc++, server and client on a CPU each."""
    server_cpu, client_cpu = cpus()
    env = environment(progs.build)
    cases = {stream_case(name, *s): (name, s) for s in STREAMS for name in names}

    def measure(case):
        name, (kind, size) = cases[case]
        with server(progs.stream_server(name), server_cpu, env) as (address, pid):
            return run_json(progs.stream(name, address, kind, size, seconds, pid), client_cpu, env,
                            seconds + 60)
    return in_rounds(list(cases), rounds, progress, "streams", measure)


def tls_load(progs, rounds, seconds, progress, tls):
    """CPU of Tern's server per unary call, small and 1 MB both ways, in cleartext and with TLS."""
    server_cpu, client_cpu = cpus()
    env = environment(progs.build)
    cases = {unary_case(how, size): (how, size) for size in UNARY_SIZES
             for how in (CLEARTEXT, TLS)}

    def measure(case):
        how, size = cases[case]
        files = tls if how == TLS else None
        with server(progs.stream_server(p.TERN, files), server_cpu, env) as (address, pid):
            return run_json(progs.tls_load(address, size, seconds, pid, files), client_cpu, env,
                            seconds + 60)
    return in_rounds(list(cases), rounds, progress, "TLS", measure)


def idle(progs, progress, names, tls):
    """Bytes that a server's process grows by for each idle connection. Once: memory has no
    moods."""
    server_cpu, client_cpu = cpus()
    env = environment(progs.build)
    result = {}
    for name in names:
        for how, files in ((CLEARTEXT, None), (TLS, tls)):
            progress.step(f"idle connections: {name}, {how}")
            with server(progs.stream_server(name, files), server_cpu, env) as (address, pid):
                got = run_json(progs.idle(address, pid, files), client_cpu, env, IDLE_LIMIT_S)
            result[f"{name} {how}"] = got["bytes_per_connection"]
    return result


def steps(rounds, n_names):
    return rounds * (len(STREAMS) * n_names + 2 * len(UNARY_SIZES)) + 2 * n_names
