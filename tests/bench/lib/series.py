"""The measurements: each round measures every case once, odd rounds in the opposite order, so that
a machine which grows faster or slower favours nobody. Ratios are taken within a round, then the
median of them; a figure by itself is the median over the rounds."""
import statistics

from lib import programs as p
from lib.processes import cpus, environment, run_json, server

LONE_LIMIT_S = 120


class Series:
    """Figures of one kind: case to measure to list of values, one for each round."""

    def __init__(self):
        self.values = {}

    def add(self, case, result):
        for measure, value in result.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                self.values.setdefault(case, {}).setdefault(measure, []).append(value)

    def median(self, case, measure):
        values = self.values.get(case, {}).get(measure)
        return statistics.median(values) if values else None

    def ratio(self, case, other, measure):
        """Median over the rounds of case / other; None when one of them was not measured."""
        mine = self.values.get(case, {}).get(measure, [])
        theirs = self.values.get(other, {}).get(measure, [])
        ratios = [a / b for a, b in zip(mine, theirs) if b]
        return statistics.median(ratios) if ratios else None

    def as_json(self):
        """Rounds and median of every figure."""
        return {case: {measure: {"median": round(statistics.median(values), 4),
                                 "rounds": values}
                       for measure, values in measures.items()}
                for case, measures in self.values.items()}


def in_rounds(cases, rounds, progress, what, measure):
    """Calls measure(case) for every case in every round; returns the Series."""
    series = Series()
    for number in range(rounds):
        for case in (cases if number % 2 == 0 else list(reversed(cases))):
            progress.step(f"{what}, round {number + 1} of {rounds}: {label(case)}")
            series.add(case_key(case), measure(case))
    return series


def label(case):
    return case if isinstance(case, str) else " -> ".join(case)


case_key = label


def server_load(progs, rounds, seconds, progress, names):
    """CPU of each server under the same load, the server on one CPU, the load on another."""
    server_cpu, load_cpu = cpus()
    env = environment(progs.build)

    def measure(name):
        with server(progs.servers()[name], server_cpu, env) as (address, pid):
            return run_json(progs.load(address, seconds, pid), load_cpu, env, seconds + 30)
    return in_rounds(names, rounds, progress, "server under load", measure)


def tern_client_load(progs, rounds, seconds, progress, names):
    """Tern's blocking client, 100 threads on 10 connections, against the servers."""
    server_cpu, load_cpu = cpus()
    env = environment(progs.build)

    def measure(name):
        with server(progs.servers()[name], server_cpu, env) as (address, pid):
            return run_json(progs.tern_load(address, 10, 100, seconds, pid), load_cpu, env,
                            seconds + 60)
    return in_rounds(names, rounds, progress, "100 blocking callers", measure)


def resilience(progs, rounds, seconds, progress):
    """CPU of client and server together for a call, with everything against failures and with
    nothing, none of it in use."""
    server_cpu, load_cpu = cpus()
    env = environment(progs.build)

    def measure(what):
        with server(progs.servers()[p.TERN], server_cpu, env) as (address, pid):
            got = run_json(progs.resilience_load(what, address, seconds, pid), load_cpu, env,
                           seconds + 60)
        got["cpu_us_per_call"] = got["client_cpu_us_per_call"] + got["server_cpu_us_per_call"]
        return got
    return in_rounds(p.RESILIENCE, rounds, progress, "resilience", measure)


def lone(progs, rounds, count, progress, cases):
    """One blocking caller, client and server on the same CPU: (client, server) pairs and RAW."""
    cpu, _ = cpus()
    env = environment(progs.build)

    def measure(case):
        if case == p.RAW:
            with server(progs.raw_server(), cpu, env) as (address, _):
                return run_json(progs.raw_client(address, count), cpu, env, LONE_LIMIT_S)
        client, name = case
        with server(progs.servers()[name], cpu, env) as (address, _):
            return run_json(progs.latency(client, address, count), cpu, env, LONE_LIMIT_S)
    return in_rounds(cases, rounds, progress, "lone round trip", measure)
