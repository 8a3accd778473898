"""What the figures mean: the targets, the tables on the terminal, and bench.json."""
from lib import programs as p

CPU = "server_cpu_us_per_call"
CPU_SHARE_MAX = 0.25          # of grpc++ async's
ROUND_TRIP_TO_RAW_MAX = 1.6
WORKFLOWS_PER_S_MIN = 2000
CPU_TO_BARE_MAX = 1.25        # shown, not among what has to be reached yet


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


def counts_table(counts):
    names = list(counts["malloc per call"])
    rows = [[name, number(counts["malloc per call"][name]),
             number(counts["instructions per call"].get(name), 0)] for name in names]
    return ["Counted per lone unary call in the steady state",
            *table(["program", "malloc calls", "instructions"], rows), ""]


def verdict(lines):
    word = {True: "reached", False: "NOT REACHED", None: "not measured"}
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
    lines += load_table("Servers under load: 10 connections x 10 streams, 100/100 bytes, one CPU",
                        run["load"], run["load_names"], p.ASYNC)
    if run["tern_load"]:
        lines += load_table("The same with Tern's blocking client: 100 threads on 10 connections",
                            run["tern_load"], run["tern_load_names"], p.ASYNC)
    lines += lone_table(run["lone"], run["lone_names"])
    if run["counts"]:
        lines += counts_table(run["counts"])
    return lines + verdict(run["targets"])


def as_json(run):
    """The contents of bench.json."""
    return {
        "date": run["date"], "machine": run["machine"], "versions": run["versions"],
        "settings": run["settings"], "targets": run["targets"],
        "ratios": {
            "server_cpu_to_grpcxx_async": run["load"].ratio(p.TERN, p.ASYNC, CPU),
            "server_cpu_to_bare_nghttp2": run["load"].ratio(p.TERN, p.BARE, CPU),
            "round_trip_to_raw": {case: {"p50": run["lone"].ratio(case, p.RAW, "p50_us"),
                                         "mean": run["lone"].ratio(case, p.RAW, "mean_us")}
                                  for case in run["lone_names"]},
        },
        "server_load": run["load"].as_json(),
        "tern_client_load": run["tern_load"].as_json() if run["tern_load"] else None,
        "lone_round_trip": run["lone"].as_json(),
        "counts": run["counts"], "workflows": run["workflows"],
    }
