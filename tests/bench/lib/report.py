"""What the figures mean: the targets, the tables on the terminal, and bench.json."""
from lib import programs as p
from lib import streams as st

CPU = "server_cpu_us_per_call"
CPU_SHARE_MAX = 0.25          # of grpc++ async's
ROUND_TRIP_TO_RAW_MAX = 1.6
WORKFLOWS_PER_S_MIN = 2000
CPU_TO_BARE_MAX = 1.25        # shown, not among what has to be reached yet
SMALL_MESSAGES_MIN = 3.0      # times grpc++'s messages per second
LARGE_MESSAGES_MIN = 1.0      # times its MB per second
TLS_CPU_MAX = 1.5             # times the cleartext server's CPU per call
RESILIENCE_CPU_MAX = 1.05     # times the CPU per call with none of it
IDLE_BYTES_MAX = {st.CLEARTEXT: 24 * 1024, st.TLS: 60 * 1024}


def target(name, value, limit, at_most=True):
    """One line of the verdict; value None: not measured."""
    reached = None if value is None else (value <= limit if at_most else value >= limit)
    return {"name": name, "value": None if value is None else round(value, 3), "limit": limit,
            "at_most": at_most, "reached": reached}


def pair(client, server):
    return f"{client} -> {server}"


def targets(load, lone, workflows):
    """Every target with its value in this run."""
    own = pair(p.TERN, p.TERN)
    result = [target("server CPU per unary call, Tern / grpc++ async",
                     load.ratio(p.TERN, p.ASYNC, CPU), CPU_SHARE_MAX),
              target("lone round trip, Tern / raw TCP", lone.ratio(own, p.RAW, "p50_us"),
                     ROUND_TRIP_TO_RAW_MAX)]
    for server in (p.ASYNC, p.CALLBACK, p.SYNC):
        result.append(target(f"lone round trip, Tern / grpc++ client -> {server}",
                             lone.ratio(own, pair(p.GRPCXX, server), "p50_us"), 1.0))
    result.append(target("five-service workflows per second",
                         workflows.get("workflows_per_s") if workflows else None,
                         WORKFLOWS_PER_S_MIN, at_most=False))
    return result


def resilience_targets(resilience):
    """What it costs to be armed when nothing fails."""
    return [target("CPU per unary call, all of resilience / none",
                   resilience.ratio(p.ALL, p.NONE, "cpu_us_per_call"), RESILIENCE_CPU_MAX)]


def resilience_count_targets(count):
    """The same in instructions, which no other load disturbs; {}: there is no callgrind."""
    value = count[p.ALL] / count[p.NONE] if count else None
    return [target("instructions per unary call, all of resilience / none", value,
                   RESILIENCE_CPU_MAX)]


def stream_targets(streams):
    """Ratios of Tern -> Tern to grpc++ -> grpc++ within a round. Ping-pong is shown only."""
    result = []
    for kind, size in st.STREAMS:
        if kind == p.PING_PONG:
            continue
        small = size == p.SMALL
        value = streams.ratio(st.stream_case(p.TERN, kind, size),
                              st.stream_case(p.GRPCXX, kind, size),
                              "messages_per_s" if small else "mb_per_s")
        result.append(target(f"{kind} stream, {size:,} bytes, "
                             f"{'messages/s' if small else 'MB/s'} Tern / grpc++", value,
                             SMALL_MESSAGES_MIN if small else LARGE_MESSAGES_MIN, at_most=False))
    return result


def connection_targets(tls, idle):
    """What TLS adds to a call, and what a connection takes that nobody uses."""
    result = [target(f"server CPU per unary call of {size:,} bytes, TLS / cleartext",
                     tls.ratio(st.unary_case(st.TLS, size), st.unary_case(st.CLEARTEXT, size),
                               CPU), TLS_CPU_MAX) for size in st.UNARY_SIZES]
    for how, limit in IDLE_BYTES_MAX.items():
        result.append(target(f"bytes of the server per idle connection, {how}",
                             idle.get(f"{p.TERN} {how}"), limit))
    return result


def number(value, digits=2):
    return "-" if value is None else f"{value:,.{digits}f}"


def table(header, rows):
    """Left-aligned first column, the rest to the right."""
    lines = [header] + rows
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    for line in lines:
        yield "  " + "  ".join(text.ljust(width) if i == 0 else text.rjust(width)
                               for i, (text, width) in enumerate(zip(line, widths))).rstrip()


def load_table(title, load, names, reference):
    rows = []
    for name in names:
        rows.append([name, number(load.median(name, CPU)),
                     number(load.median(name, "client_cpu_us_per_call")),
                     number(load.median(name, "calls_per_s"), 0),
                     number(load.median(name, "p50_us"), 0), number(load.median(name, "p99_us"), 0),
                     number(load.ratio(name, reference, CPU))])
    header = ["server", "server CPU us/call", "client CPU us/call", "calls/s", "p50 us", "p99 us",
              f"CPU / {reference}"]
    return [title, *table(header, rows), ""]


def lone_table(lone, cases):
    rows = []
    for case in cases:
        rows.append([case, number(lone.median(case, "p50_us")),
                     number(lone.median(case, "mean_us")), number(lone.median(case, "p99_us")),
                     number(lone.ratio(case, p.RAW, "p50_us")),
                     number(lone.ratio(case, p.RAW, "mean_us"))])
    return ["Lone blocking round trip, client and server on one CPU, 100/100 bytes",
            *table(["client -> server", "p50 us", "mean us", "p99 us", "p50 / raw", "mean / raw"],
                   rows), ""]


def resilience_table(resilience):
    rows = [[what, number(resilience.median(what, "client_cpu_us_per_call")),
             number(resilience.median(what, CPU)),
             number(resilience.median(what, "calls_per_s"), 0),
             number(resilience.ratio(what, p.NONE, "cpu_us_per_call"), 3)]
            for what in p.RESILIENCE]
    return ["Deadlines, retries, breakers and their limits with nothing failing: 100 blocking "
            "callers on 10 connections",
            *table(["armed", "client CPU us/call", "server CPU us/call", "calls/s", "CPU / none"],
                   rows), ""]


def counts_table(counts):
    names = list(counts["malloc per call"])
    rows = [[name, number(counts["malloc per call"][name]),
             number(counts["instructions per call"].get(name), 0)] for name in names]
    return ["Counted per lone unary call in the steady state",
            *table(["program", "malloc calls", "instructions"], rows), ""]


def streams_table(streams):
    rows = []
    for kind, size in st.STREAMS:
        for name in (p.TERN, p.GRPCXX):
            case = st.stream_case(name, kind, size)
            measure = "messages_per_s" if size == p.SMALL else "mb_per_s"
            rows.append([f"{kind}, {size:,} bytes: {name}",
                         number(streams.median(case, "messages_per_s"), 0),
                         number(streams.median(case, "mb_per_s"), 1),
                         number(streams.median(case, "server_cpu_us_per_message")),
                         number(streams.median(case, "client_cpu_us_per_message")),
                         number(streams.ratio(case, st.stream_case(p.GRPCXX, kind, size),
                                              measure))])
    return ["Streams: one on one connection, server and client of the same make on a CPU each",
            *table(["kind", "messages/s", "MB/s", "server CPU us/message", "client CPU us/message",
                    "speed / grpc++"], rows), ""]


def connections_table(tls, idle):
    rows = [[f"{size:,} bytes each way: {how}",
             number(tls.median(st.unary_case(how, size), CPU)),
             number(tls.median(st.unary_case(how, size), "calls_per_s"), 0),
             number(tls.ratio(st.unary_case(how, size), st.unary_case(st.CLEARTEXT, size), CPU))]
            for size in st.UNARY_SIZES for how in (st.CLEARTEXT, st.TLS)]
    memory = [[name, number(value / 1024)] for name, value in idle.items()]
    return ["Tern's server: unary calls on 10 connections, 100 callers (1 MB: 10)",
            *table(["payload", "server CPU us/call", "calls/s", "CPU / cleartext"], rows), "",
            f"Server's memory for each of {p.IDLE_CONNECTIONS:,} idle connections",
            *table(["server", "KiB"], memory), ""]


def verdict(lines):
    word = {True: "good", False: "short", None: "not measured"}
    rows = [[t["name"], number(t["value"], 0 if t["limit"] > 100 else 3),
             ("<= " if t["at_most"] else ">= ") + f"{t['limit']:,}", word[t["reached"]]]
            for t in lines]
    return ["Targets", *table(["what", "value", "target", ""], rows)]


def text(run):
    """All tables of a run, as lines."""
    lines = [f"{run['machine']['cpu']}, {run['machine']['cpus']} CPUs, kernel "
             f"{run['machine']['kernel']}, {run['machine']['tcp_congestion']}; "
             f"{run['settings']['rounds']} rounds, medians; stolen by the hypervisor: "
             f"{run['machine']['steal_percent']} %", ""]
    if run["machine"]["cpus"] < 2:
        lines[1:1] = ["There is one CPU only: server and load share it, their figures disturb each "
                      "other."]
    if run["load"]:
        lines += unary_tables(run)
    if run["streams"]:
        lines += streams_table(run["streams"])
    if run["tls_load"]:
        lines += connections_table(run["tls_load"], run["idle"])
    if run["counts"]:
        lines += counts_table(run["counts"])
    return lines + (verdict(run["targets"]) if run["targets"] else [])


def unary_tables(run):
    lines = load_table("Servers under load: 10 connections x 10 streams, 100/100 bytes, one CPU",
                        run["load"], run["load_names"], p.ASYNC)
    if run["tern_load"]:
        lines += load_table("The same with Tern's blocking client: 100 threads on 10 connections",
                            run["tern_load"], run["tern_load_names"], p.ASYNC)
    if run["resilience"]:
        lines += resilience_table(run["resilience"])
    return lines + lone_table(run["lone"], run["lone_names"])


def as_json(run):
    """The contents of bench.json."""
    return {
        "date": run["date"], "machine": run["machine"], "versions": run["versions"],
        "settings": run["settings"], "targets": run["targets"],
        "ratios": {} if not run["load"] else {
            "server_cpu_to_grpcxx_async": run["load"].ratio(p.TERN, p.ASYNC, CPU),
            "server_cpu_to_bare_nghttp2": run["load"].ratio(p.TERN, p.BARE, CPU),
            "round_trip_to_raw": {case: {"p50": run["lone"].ratio(case, p.RAW, "p50_us"),
                                         "mean": run["lone"].ratio(case, p.RAW, "mean_us")}
                                  for case in run["lone_names"]},
        },
        "server_load": run["load"].as_json() if run["load"] else None,
        "tern_client_load": run["tern_load"].as_json() if run["tern_load"] else None,
        "resilience": run["resilience"].as_json() if run["resilience"] else None,
        "lone_round_trip": run["lone"].as_json() if run["lone"] else None,
        "streams": run["streams"].as_json() if run["streams"] else None,
        "tls_load": run["tls_load"].as_json() if run["tls_load"] else None,
        "idle_bytes_per_connection": run["idle"],
        "counts": run["counts"], "resilience_instructions": run.get("resilience_count"),
        "workflows": run["workflows"],
    }
