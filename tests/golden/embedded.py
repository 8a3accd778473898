#!/usr/bin/python3
"""The descriptors in generated .tern.c files are protoc's own, without source_code_info, of the file
and all of its imports.

usage: embedded.py PROTO_DIR INCLUDE_DIR GENERATED_DIR FILE.proto...
"""
import os
import re
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2


def expected(folder, include, name):
    with tempfile.NamedTemporaryFile() as f:
        subprocess.run(["protoc", "-I", folder, "-I", include, "--include_imports", "-o", f.name, name], check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(f.read()).file
    for file in files:
        for message in walk(file.message_type):
            for field in list(message.field) + list(message.extension):
                field.ClearField("json_name")  # plugins get it filled in, files do not
        for field in file.extension:
            field.ClearField("json_name")
    return {file.name: file for file in files}


def walk(messages):
    for message in messages:
        yield message
        yield from walk(message.nested_type)


def embedded(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    blobs = dict(re.findall(r"static const unsigned char (tern__file_\d+)\[\] = \{([^}]*)\};", text))
    table = re.findall(r'    \{ "([^"]*)", (tern__file_\d+), (\d+) \},', text)
    for name, blob, length in table:
        data = bytes(int(n) for n in blobs[blob].replace(",", " ").split())
        assert len(data) == int(length), f"{path}: {name} has {len(data)} bytes, not {length}"
        file = descriptor_pb2.FileDescriptorProto.FromString(data)
        assert file.name == name, f"{path}: {file.name} is called {name}"
        assert not file.HasField("source_code_info"), f"{path}: {name} has source_code_info"
        for message in walk(file.message_type):
            for field in list(message.field) + list(message.extension):
                field.ClearField("json_name")
        for field in file.extension:
            field.ClearField("json_name")
        yield name, file


def main():
    folder, include, generated, *names = sys.argv[1:]
    for name in names:
        files = list(embedded(os.path.join(generated, name.replace(".proto", ".tern.c"))))
        assert files[0][0] == name, f"{name}: {files[0][0]} comes first"
        assert len(dict(files)) == len(files), f"{name}: a file is embedded twice"
        assert dict(files) == expected(folder, include, name), f"{name}: other descriptors than protoc's"


main()
