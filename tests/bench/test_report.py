#!/usr/bin/python3
"""The arithmetic behind `make bench`: medians, ratios within a round, targets, tables, JSON."""
import json
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib import programs as p  # noqa: E402
from lib import report, series  # noqa: E402
from lib import streams as st  # noqa: E402


class NoProgress:
    def __init__(self):
        self.lines = []

    def step(self, what):
        self.lines.append(what)


def filled(figures):
    """A Series from {case: {measure: [values]}}."""
    result = series.Series()
    result.values = figures
    return result


class Rounds(unittest.TestCase):
    def test_odd_rounds_go_backwards(self):
        seen = []

        def measure(case):
            seen.append(case)
            return {"x": len(seen)}
        got = series.in_rounds(["a", "b", "c"], 3, NoProgress(), "t", measure)
        self.assertEqual("".join(seen), "abccbaabc")
        self.assertEqual(got.values["a"]["x"], [1, 6, 7])

    def test_pairs_are_named_by_an_arrow(self):
        got = series.in_rounds([("x", "y")], 1, NoProgress(), "t", lambda case: {"v": 1})
        self.assertEqual(list(got.values), ["x -> y"])

    def test_only_numbers_are_kept(self):
        got = series.Series()
        got.add("a", {"n": 1.5, "none": None, "flag": True, "text": "x"})
        self.assertEqual(got.values, {"a": {"n": [1.5]}})

    def test_ratio_is_taken_within_a_round(self):
        # The machine is three times slower in the second round; the ratio is the same.
        got = filled({"a": {"us": [10, 30, 11]}, "b": {"us": [20, 60, 22]}})
        self.assertEqual(got.ratio("a", "b", "us"), 0.5)
        self.assertEqual(got.median("a", "us"), 11)

    def test_what_was_not_measured_is_none(self):
        got = filled({"a": {"us": [10]}})
        self.assertIsNone(got.ratio("a", "b", "us"))
        self.assertIsNone(got.ratio("b", "a", "us"))
        self.assertIsNone(got.median("a", "cpu"))
        self.assertIsNone(filled({"a": {"us": [1]}, "b": {"us": [0]}}).ratio("a", "b", "us"))


def example(tern_cpu, tern_us):
    own = report.pair(p.TERN, p.TERN)
    load = filled({p.TERN: {report.CPU: [tern_cpu]}, p.ASYNC: {report.CPU: [12.0]}})
    lone = filled({own: {"p50_us": [tern_us], "mean_us": [tern_us]},
                   p.RAW: {"p50_us": [10.0], "mean_us": [10.0]},
                   report.pair(p.GRPCXX, p.ASYNC): {"p50_us": [35.0]},
                   report.pair(p.GRPCXX, p.CALLBACK): {"p50_us": [75.0]}})
    return load, lone


def armed(cpu_us):
    return filled({p.NONE: {"cpu_us_per_call": [20.0]}, p.ALL: {"cpu_us_per_call": [cpu_us]}})


class Targets(unittest.TestCase):
    def verdicts(self, cpu, us, workflows):
        return {t["name"]: t["reached"] for t in report.targets(*example(cpu, us), workflows)}

    def test_reached_up_to_the_limit(self):
        got = self.verdicts(3.0, 16.0, {"workflows_per_s": 2000})
        self.assertEqual([v for v in got.values() if v is not None], [True] * 5)

    def test_missed_beyond_it(self):
        got = self.verdicts(3.1, 36.0, {"workflows_per_s": 1999})
        self.assertFalse(got["server CPU per unary call, Tern / grpc++ async"])
        self.assertFalse(got["lone round trip, Tern / raw TCP"])
        self.assertFalse(got["lone round trip, Tern / grpc++ client -> grpc++ async"])
        self.assertTrue(got["lone round trip, Tern / grpc++ client -> grpc++ callback"])
        self.assertFalse(got["five-service workflows per second"])

    def test_not_measured_is_said(self):
        got = self.verdicts(3.0, 16.0, None)
        self.assertIsNone(got["five-service workflows per second"])
        self.assertIsNone(got["lone round trip, Tern / grpc++ client -> grpc++ sync"])
        lines = "\n".join(report.verdict(report.targets(*example(3.0, 99.0), None)))
        self.assertIn("short", lines)
        self.assertIn("good", lines)
        self.assertIn("not measured", lines)


def streamed(small, large):
    """Tern's speed, grpc++'s being 100."""
    figures = {}
    for kind, size in st.STREAMS:
        own = small if size == p.SMALL else large
        for name, speed in ((p.TERN, own), (p.GRPCXX, 100)):
            figures[st.stream_case(name, kind, size)] = {"messages_per_s": [speed],
                                                         "mb_per_s": [speed]}
    return filled(figures)


def secured(tls_cpu):
    return filled({st.unary_case(how, size): {report.CPU: [cpu], "calls_per_s": [1000]}
                   for size in st.UNARY_SIZES
                   for how, cpu in ((st.CLEARTEXT, 10), (st.TLS, tls_cpu))})


class StreamTargets(unittest.TestCase):
    def test_streams(self):
        for small, large, wanted in ((300, 100, {True}), (299, 99, {False})):
            got = report.stream_targets(streamed(small, large))
            self.assertEqual({t["reached"] for t in got}, wanted)
            self.assertEqual(len(got), 6)

    def test_ping_pong_is_shown_only(self):
        self.assertFalse([t for t in report.stream_targets(streamed(1, 1))
                          if p.PING_PONG in t["name"]])
        self.assertIn(p.PING_PONG, "\n".join(report.streams_table(streamed(1, 1))))

    def test_resilience(self):
        got = [report.resilience_targets(armed(us))[0]["reached"] for us in (20.9, 21.1)]
        self.assertEqual(got, [True, False])
        got = [report.resilience_count_targets({p.NONE: 40000, p.ALL: n})[0]["reached"]
               for n in (42000, 42001)]
        self.assertEqual(got, [True, False])
        self.assertIsNone(report.resilience_count_targets({})[0]["reached"])

    def test_connections(self):
        idle = {f"{p.TERN} {st.CLEARTEXT}": 24576, f"{p.TERN} {st.TLS}": 61441}
        got = report.connection_targets(secured(15), idle)
        self.assertEqual([t["reached"] for t in got], [True, True, True, False])
        got = report.connection_targets(secured(16), {})
        self.assertEqual([t["reached"] for t in got], [False, False, None, None])


class Output(unittest.TestCase):
    def run_of(self):
        load, lone = example(2.0, 15.0)
        return {"date": "2000-01-01T00:00:00+00:00",
                "machine": {"cpu": "a CPU", "cpus": 1, "kernel": "k", "tcp_congestion": "cubic",
                            "steal_percent": 0.0},
                "versions": {}, "settings": {"rounds": 1}, "load": load, "load_names": [p.TERN],
                "tern_load": None, "tern_load_names": [], "resilience": armed(20.8), "lone": lone,
                "lone_names": [p.RAW, report.pair(p.TERN, p.TERN)],
                "counts": {"malloc per call": {"Tern server": 0.0},
                           "instructions per call": {}},
                "streams": streamed(500, 120), "tls_load": secured(13),
                "idle": {f"{p.TERN} {st.CLEARTEXT}": 16384.0},
                "workflows": None, "targets": report.targets(load, lone, None)}

    def test_tables(self):
        text = "\n".join(report.text(self.run_of()))
        self.assertIn("Tern -> Tern", text)
        self.assertIn("1.50", text)
        self.assertIn("from-server, 1,000,000 bytes: Tern", text)
        self.assertIn("1.30", text)
        self.assertIn("1.040", text)
        self.assertIn("16.00", text)
        self.assertIn("There is one CPU only", text)
        self.assertTrue(all(len(line) < 160 for line in text.split("\n")))

    def test_parts_may_be_left_out(self):
        run = self.run_of()
        for part in ("load", "tern_load", "resilience", "lone", "counts", "streams", "tls_load",
                     "idle"):
            run[part] = None
        run["targets"] = []
        self.assertEqual(len(report.text(run)), 3)
        self.assertIsNone(json.loads(json.dumps(report.as_json(run)))["streams"])

    def test_json_can_be_read_back(self):
        got = json.loads(json.dumps(report.as_json(self.run_of())))
        self.assertAlmostEqual(got["ratios"]["server_cpu_to_grpcxx_async"], 1 / 6)
        self.assertEqual(got["ratios"]["round_trip_to_raw"]["Tern -> Tern"]["p50"], 1.5)
        self.assertEqual(got["server_load"][p.TERN][report.CPU]["rounds"], [2.0])
        self.assertIsNone(got["ratios"]["server_cpu_to_bare_nghttp2"])


if __name__ == "__main__":
    unittest.main()
