#!/usr/bin/python3
"""Compares `tern encode` and `tern decode` with Google's json_format, message by message.

Seeded random messages of every kind of field go both ways through both implementations: the bytes
that tern makes of Google's JSON must parse to the same message, and the JSON that tern prints must be
read back by Google as the same message and look the same. Run with $B set to the build folder.
"""
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

HERE = os.path.dirname(os.path.abspath(__file__))
TERN = os.path.join(os.environ.get("B", "build"), "bin", "tern")
SEED = int(os.environ.get("SEED", "20240229"))
BATCHES = int(os.environ.get("BATCHES", "15"))
BATCH = 25

checks = 0
failures = []


def check(condition, text):
    global checks
    checks += 1
    if not condition:
        failures.append(f"FAILED: {text}"[:2000])


def tern(*args, data=b"", status=0):
    done = subprocess.run([TERN, *args], input=data, capture_output=True, timeout=60)
    if done.returncode != status:
        sys.exit(f"FAILED: tern {args} ended with {done.returncode}, not {status}: "
                 f"{done.stderr.decode(errors='replace')}")
    return done


class Messages:
    """The classes of the test's .proto files, and their descriptor set as a file."""

    def __init__(self, folder):
        self.set_file = os.path.join(folder, "set.pb")
        subprocess.run(["protoc", "--include_imports", "--include_source_info", "-I", HERE,
                        "-o", self.set_file, "mapping.proto", "mapping2.proto"],
                       check=True, timeout=60)
        with open(self.set_file, "rb") as f:
            files = descriptor_pb2.FileDescriptorSet.FromString(f.read())
        self.pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            self.pool.Add(file)
        self.factory = message_factory.MessageFactory(self.pool)

    def cls(self, name):
        return self.factory.GetPrototype(self.pool.FindMessageTypeByName(name))


M = None
R = random.Random(SEED)

INT_EDGES = {
    32: [0, 1, -1, 127, 128, -128, 2**31 - 1, -2**31],
    64: [0, 1, -1, 2**31, 2**53 + 1, -2**53 - 1, 2**63 - 1, -2**63],
    -32: [0, 1, 127, 128, 2**31, 2**32 - 1],
    -64: [0, 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1],
}
TEXTS = ["", "a", "Grüße", "\"quoted\\\"", "line\nbreak\ttab", "\u20ac\U0001f681", "nul\0inside",
         "\x01\x1f\x7f", "x" * 300]


def any_int(bits):
    if R.random() < 0.5:
        return R.choice(INT_EDGES[bits])
    if bits > 0:
        return R.randrange(-2**(bits - 1), 2**(bits - 1))
    return R.randrange(0, 2**-bits)


def any_double():
    if R.random() < 0.5:
        return R.choice([0.0, -0.0, 1.0, 0.1, 1e300, -1e-300, 5e-324, 1.7976931348623157e308, 1 / 3,
                         float("inf"), float("-inf"), float("nan"), 123456789012345680.0])
    value = struct.unpack("<d", struct.pack("<Q", R.getrandbits(64)))[0]
    return value if value == value else float("nan")  # JSON has one NaN


def any_float():
    # Not the largest float: json_format prints it as 3.4028235e+38, which it then finds too large.
    if R.random() < 0.5:
        return struct.unpack("<f", struct.pack("<f", R.choice(
            [0.0, -0.0, 1.0, 0.1, 1 / 3, 3e38, 1e-45, float("inf"), float("nan")])))[0]
    value = struct.unpack("<f", struct.pack("<I", R.getrandbits(32)))[0]
    return value if value == value else float("nan")


def any_json(depth=0):
    kind = R.randrange(7 if depth < 3 else 5)
    if kind == 0:
        return None
    if kind == 1:
        return R.choice([True, False])
    if kind == 2:
        return R.choice([0, 1, -7, 2.5, 1e100, 0.1])
    if kind <= 4:
        return R.choice(TEXTS)
    if kind == 5:
        return [any_json(depth + 1) for _ in range(R.randrange(4))]
    return {R.choice(TEXTS[1:6]) + str(i): any_json(depth + 1) for i in range(R.randrange(4))}


def any_scalar(field):
    types = {field.TYPE_INT32: 32, field.TYPE_SINT32: 32, field.TYPE_SFIXED32: 32,
             field.TYPE_INT64: 64, field.TYPE_SINT64: 64, field.TYPE_SFIXED64: 64,
             field.TYPE_UINT32: -32, field.TYPE_FIXED32: -32,
             field.TYPE_UINT64: -64, field.TYPE_FIXED64: -64}
    if field.type in types:
        return any_int(types[field.type])
    if field.type == field.TYPE_DOUBLE:
        return any_double()
    if field.type == field.TYPE_FLOAT:
        return any_float()
    if field.type == field.TYPE_BOOL:
        return R.choice([True, False])
    if field.type == field.TYPE_STRING:
        return R.choice(TEXTS)
    if field.type == field.TYPE_BYTES:
        return R.randbytes(R.randrange(20))
    if field.enum_type.name == "NullValue":
        return 0
    if field.enum_type.full_name.startswith("tern.test2."):
        return R.choice(field.enum_type.values).number
    return R.choice([v.number for v in field.enum_type.values] + [77, -3])


def fill_known(message, depth):
    name = message.DESCRIPTOR.name
    if name == "Timestamp":
        message.seconds = R.choice([0, 951782400, -62135596800, 253402300799,
                                    R.randrange(-62135596800, 253402300800)])
        message.nanos = R.choice([0, 5, 500000000, 123000, 999999999])
    elif name == "Duration":
        sign = R.choice([1, -1])
        message.seconds = sign * R.choice([0, 1, 315576000000, R.randrange(10**9)])
        message.nanos = sign * (0 if abs(message.seconds) == 315576000000
                                else R.choice([0, 1, 500000000, 1000, 999999999]))
    elif name == "FieldMask":
        message.paths.extend(R.sample(["a", "user_id", "a.b_c.d", "x_y_z"], R.randrange(4)))
    elif name == "Struct":
        json_format.ParseDict({str(i): any_json() for i in range(R.randrange(4))}, message)
    elif name == "Value":
        json_format.ParseDict(any_json(), message)
    elif name == "ListValue":
        json_format.ParseDict([any_json() for _ in range(R.randrange(4))], message)
    elif name == "Any":
        if R.random() < 0.9:
            inner = M.cls(R.choice(["tern.test.Scalars", "tern.test.Choice", "tern.test.Tree",
                                    "google.protobuf.Timestamp", "google.protobuf.Int64Value",
                                    "google.protobuf.Struct", "google.protobuf.Any",
                                    "google.protobuf.Empty", "google.protobuf.Value"]))()
            fill(inner, depth + 2)
            message.Pack(inner)
    else:
        return False
    return True


def fill(message, depth=0):
    if fill_known(message, depth):
        return
    for field in message.DESCRIPTOR.fields:
        if field.type == field.TYPE_GROUP:
            continue
        if depth > 4 and field.type == field.TYPE_MESSAGE:
            continue
        required = field.label == field.LABEL_REQUIRED
        if R.random() < (0.3 if depth < 2 else 0.6) and not required:
            continue
        entry = field.message_type is not None and field.message_type.GetOptions().map_entry
        if entry:
            key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
            for _ in range(R.randrange(4)):
                target = getattr(message, field.name)
                if value.message_type is not None:
                    fill(target[any_scalar(key)], depth + 2)
                else:
                    target[any_scalar(key)] = any_scalar(value)
        elif field.label == field.LABEL_REPEATED:
            for _ in range(R.randrange(4)):
                if field.message_type is not None:
                    fill(getattr(message, field.name).add(), depth + 2)
                else:
                    getattr(message, field.name).append(any_scalar(field))
        elif field.message_type is not None:
            sub = getattr(message, field.name)
            sub.SetInParent()
            fill(sub, depth + 1)
        else:
            setattr(message, field.name, any_scalar(field))


def exact(message):
    """Bytes that are equal when messages are, NaN included."""
    return message.SerializeToString(deterministic=True)


def canonical(message):
    """The same, where an Any may hold the entries of a map in any order."""
    return json.loads(to_json(message)), message.ByteSize()


def to_json(message, **options):
    return json_format.MessageToJson(message, descriptor_pool=M.pool, **options)


def same_json(a, b):
    """Equal as JSON; Google prints floats in 8 digits where 9 are needed, so numbers may differ in
    the last one."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_json(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same_json(x, y) for x, y in zip(a, b))
    if isinstance(a, (int, float)) and isinstance(b, (int, float)) and isinstance(a, bool) == isinstance(b, bool):
        return a == b or abs(a - b) <= 1e-7 * max(abs(a), abs(b))
    return type(a) is type(b) and a == b


def strip_nul_keys(message):
    """jansson cannot read a NUL inside of an object's key, and says so."""
    m = message.maps
    for maps in [m] + list(m.nested.values()):
        for key in [k for k in maps.by_string if "\0" in k]:
            del maps.by_string[key]
        for key in [k for k in maps.nested if "\0" in k]:
            del maps.nested[key]


def both_ways(name, message):
    cls = M.cls(name)
    args = (name, "--descriptor-set", M.set_file)
    wire = message.SerializeToString()

    made = tern("encode", *args, data=to_json(message).encode()).stdout
    google = json_format.Parse(to_json(message), cls(), descriptor_pool=M.pool)
    same = canonical if name in ("tern.test.Batch", "tern.test2.Old") else exact
    check(same(cls.FromString(made)) == same(google), f"encode {name}: {to_json(message)}")

    for options in ([], ["--emit-defaults"], ["--original-names"], ["--compact"]):
        text = tern("decode", *args, *options, data=wire).stdout.decode()
        theirs = to_json(message, including_default_value_fields="--emit-defaults" in options,
                         preserving_proto_field_name="--original-names" in options)
        ours, expected = json.loads(text), json.loads(theirs)
        if not same_json(ours, expected):
            print("ours  ", json.dumps(ours, sort_keys=True)[:3000])
            print("theirs", json.dumps(expected, sort_keys=True)[:3000])
        check(same_json(ours, expected), f"decode {name} {options}")
        if options == ["--compact"]:
            check(text.count("\n") == 1, "--compact prints one line")
    # What we print holds every bit, which 8 digits of a float do not.
    printed = tern("decode", *args, data=wire).stdout
    again = tern("encode", *args, data=printed).stdout
    check(same(cls.FromString(again)) == same(cls.FromString(wire)), f"round trip of {name}")


def random_messages():
    for _ in range(BATCHES):
        batch = M.cls("tern.test.Batch")()
        for _ in range(BATCH):
            item = batch.items.add()
            fill(item)
            strip_nul_keys(item)
        both_ways("tern.test.Batch", batch)
    for name in ["tern.test.Scalars", "tern.test.Lists"] * BATCHES:
        message = M.cls(name)()
        fill(message)
        both_ways(name, message)
    for _ in range(BATCHES):
        old = M.cls("tern.test2.Old")()
        fill(old)
        for key in [k for k in old.by_name if "\0" in k]:
            del old.by_name[key]
        node = old
        while node.HasField("next"):
            node = node.next
            for key in [k for k in node.by_name if "\0" in k]:
                del node.by_name[key]
        both_ways("tern.test2.Old", old)


# Text that both must take, or both refuse, with the same result.
CORPUS = [
    ("Scalars", '{"fInt32": 1.0}'), ("Scalars", '{"fInt32": 1e3}'), ("Scalars", '{"fInt32": 1.5}'),
    ("Scalars", '{"fInt32": "12"}'), ("Scalars", '{"fInt32": 2147483648}'), ("Scalars", '{"fInt32": ""}'),
    ("Scalars", '{"fInt32": " 1"}'), ("Scalars", '{"fInt32": true}'), ("Scalars", '{"fInt32": null}'),
    ("Scalars", '{"f_int32": 5}'), ("Scalars", '{"fInt32": 5, "f_int32": 6}'),
    ("Scalars", '{"fInt64": "-9223372036854775808"}'), ("Scalars", '{"fInt64": 9223372036854775807}'),
    ("Scalars", '{"fInt64": "9223372036854775808"}'), ("Scalars", '{"fUint64": "18446744073709551615"}'),
    ("Scalars", '{"fUint64": "18446744073709551616"}'), ("Scalars", '{"fUint64": -1}'),
    ("Scalars", '{"fUint32": 4294967295}'), ("Scalars", '{"fUint32": 4294967296}'),
    ("Scalars", '{"fFixed32": "7"}'), ("Scalars", '{"fSint64": "-1"}'),
    ("Scalars", '{"fDouble": "NaN"}'), ("Scalars", '{"fDouble": "Infinity"}'),
    ("Scalars", '{"fDouble": "-Infinity"}'), ("Scalars", '{"fDouble": "1.5"}'), ("Scalars", '{"fDouble": "x"}'),
    ("Scalars", '{"fFloat": 3.5e38}'), ("Scalars", '{"fFloat": "-Infinity"}'), ("Scalars", '{"fFloat": 0.1}'),
    ("Scalars", '{"fBool": "true"}'), ("Scalars", '{"fBool": 1}'), ("Scalars", '{"fBool": false}'),
    ("Scalars", '{"fString": 1}'), ("Scalars", '{"fString": "\\ud83d\\ude81"}'),
    ("Scalars", '{"fBytes": "-_8="}'), ("Scalars", '{"fBytes": "+/8="}'), ("Scalars", '{"fBytes": "AQI"}'),
    ("Scalars", '{"fEnum": "MOOD_BAD"}'), ("Scalars", '{"fEnum": -2}'), ("Scalars", '{"fEnum": 12345}'),
    ("Scalars", '{"fEnum": "MOOD_BADD"}'), ("Scalars", '{"nope": 1}'), ("Scalars", '[]'),
    ("Scalars", '"x"'), ("Scalars", '{'), ("Scalars", ''), ("Scalars", '{"fInt32": 1, "fInt32": 2}'),
    ("Lists", '{"fInt32": 1}'), ("Lists", '{"fInt32": [1, null]}'), ("Lists", '{"fInt32": null}'),
    ("Lists", '{"fInt32": []}'), ("Lists", '{"messages": [{}, {"fInt32": 1}]}'), ("Lists", '{"messages": {}}'),
    ("Maps", '{"byString": {"a": null}}'), ("Maps", '{"byInt32": {"x": 1}}'), ("Maps", '{"byInt32": {"-5": 1}}'),
    ("Maps", '{"byBool": {"true": 1, "false": "MOOD_GOOD"}}'), ("Maps", '{"byBool": {"yes": 1}}'),
    ("Maps", '{"bySint32": {"1": null, "2": [null]}}'), ("Maps", '{"byString": []}'),
    ("Choice", '{"number": 1, "text": "x"}'), ("Choice", '{"number": 0}'), ("Choice", '{"nothing": null}'),
    ("Choice", '{"maybe": 0, "maybeText": ""}'), ("Choice", '{"maybe": null}'),
    ("Choice", '{"number": null, "text": "x"}'), ("Choice", '{"nothing": "NULL_VALUE"}'),
    ("WellKnown", '{"time": "2024-02-29T23:59:59.123456789Z"}'), ("WellKnown", '{"time": "2023-02-29T00:00:00Z"}'),
    ("WellKnown", '{"time": "2024-01-01T00:00:00+01:30"}'), ("WellKnown", '{"time": "2024-01-01"}'),
    ("WellKnown", '{"time": "0001-01-01T00:00:00Z"}'), ("WellKnown", '{"time": 5}'),
    ("WellKnown", '{"time": "1969-12-31T23:59:59.5Z"}'), ("WellKnown", '{"time": "2024-01-01T00:00:00"}'),
    ("WellKnown", '{"time": "9999-12-31T23:59:59.999999999Z"}'),
    ("WellKnown", '{"duration": "1.5s"}'), ("WellKnown", '{"duration": "-0.5s"}'), ("WellKnown", '{"duration": "1"}'),
    ("WellKnown", '{"duration": "315576000001s"}'), ("WellKnown", '{"duration": "3s"}'),
    ("WellKnown", '{"mask": "a,userId.bC"}'), ("WellKnown", '{"mask": ""}'), ("WellKnown", '{"mask": "user_id"}'),
    ("WellKnown", '{"struct": {"a": [1, {"b": null}], "c": "d"}}'), ("WellKnown", '{"struct": []}'),
    ("WellKnown", '{"value": null}'), ("WellKnown", '{"value": [1, "2", false]}'), ("WellKnown", '{"value": {}}'),
    ("WellKnown", '{"list": [1, null]}'), ("WellKnown", '{"list": {}}'), ("WellKnown", '{"empty": {}}'),
    ("WellKnown", '{"wInt64": "5", "wBool": false, "wString": "", "wBytes": "AQ=="}'),
    ("WellKnown", '{"wInt32": null}'), ("WellKnown", '{"wInt32": 0}'), ("WellKnown", '{"wInt32": {}}'),
    ("WellKnown", '{"any": {"@type": "type.googleapis.com/tern.test.Tree", "name": "x"}}'),
    ("WellKnown", '{"any": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "3s"}}'),
    ("WellKnown", '{"any": {"@type": "type.googleapis.com/tern.test.Nope"}}'), ("WellKnown", '{"any": {}}'),
    ("WellKnown", '{"any": {"name": "x"}}'), ("WellKnown", '{"any": {"@type": "tern.test.Tree", "name": "x"}}'),
    ("WellKnown", '{"values": [null, 1]}'), ("WellKnown", '{"numbers": [1, 2]}'),
    ("Tree", '{"oddName": 1, "@other": "x"}'), ("Tree", '{"renamed": "x"}'), ("Tree", '{"odd__name_": 3}'),
]

# Where json_format of this version differs from the mapping's text, or we from both on purpose.
DIFFERENT = {
    '[]': "a message is an object",
    '{"fInt32": 5, "f_int32": 6}': "a field is given once, in whichever spelling",
    # json_format takes these; JSON that is read twice by two people should not mean two things.
    '{"any": {"@type": "tern.test.Tree", "name": "x"}}': "a type URL has a slash (any.proto)",
}


def corpus():
    for name, text in CORPUS:
        cls = M.cls("tern.test." + name)
        try:
            theirs = json_format.Parse(text, cls(), descriptor_pool=M.pool)
        except Exception as error:  # json_format lets other errors than ParseError through
            theirs = None
        done = subprocess.run([TERN, "encode", "tern.test." + name, "--descriptor-set", M.set_file, "-d", text],
                              capture_output=True, timeout=60)
        if text in DIFFERENT:
            check(done.returncode == 2, f"{text}: refused, since {DIFFERENT[text]}")
        elif theirs is None:
            check(done.returncode == 2, f"{name} {text}: Google refuses it, tern ended with {done.returncode}")
            check(done.stdout == b"" and done.stderr != b"", f"{name} {text}: an error and no output")
        else:
            check(done.returncode == 0, f"{name} {text}: Google takes it, tern says {done.stderr.decode()}")
            check(canonical(cls.FromString(done.stdout)) == canonical(theirs), f"{name} {text}: {done.stdout}")


def main():
    global M
    with tempfile.TemporaryDirectory() as folder:
        M = Messages(folder)
        corpus()
        random_messages()
    if failures:
        print("\n".join(failures[:20]))
        sys.exit(f"{len(failures)} of {checks} checks failed (SEED={SEED})")
    print(f"{checks} checks passed, {BATCHES * (BATCH + 2)} random proto3 and {BATCHES} proto2 "
          f"messages both ways (SEED={SEED})")


if __name__ == "__main__":
    main()
