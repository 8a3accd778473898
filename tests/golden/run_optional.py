#!/usr/bin/python3
"""Reads what run_optional.c wrote with Google's implementation: presence and values are the same,
and so are the bytes that it writes itself. Arguments: the folder of the generated module, and that
of the messages."""

import sys

sys.path.insert(0, sys.argv[1])
import optional3_pb2  # noqa: E402  (the generated module)

FIELDS = ["i32", "s64", "u64", "x32", "f", "d", "b", "mode", "text", "data", "part", "int"]


def read(name):
    with open(f"{sys.argv[2]}/{name}", "rb") as file:
        data = file.read()
    message = optional3_pb2.Optional.FromString(data)
    assert message.SerializeToString(deterministic=True) == data, f"{name}: other bytes"
    return message, {f for f in FIELDS if message.HasField(f)}


_, present = read("unset")
assert present == set(), present
message, present = read("zero")
assert present == set(FIELDS), present
assert message.i32 == 0 and message.text == "" and message.data == b""
assert message.WhichOneof("real") is None
message, present = read("values")
assert present == {"i32", "d", "mode", "text", "data"}, present
assert (message.i32, message.d, message.mode) == (-5, 2.5, 1)
assert (message.text, message.data) == ("text", b"\0\xff")
assert message.WhichOneof("real") == "one"
