#!/usr/bin/python3
"""Reads a .pb-c.h header and prints what it declares in a form that does not depend on layout, on
comments or on the order of a union's members: one line for each member, enumerator, function,
object and macro. With --tables it prints instead the C that dump.c includes: calls for each table
and each enumerator. The code of protobuf-c's own services is left out of both."""

import re
import sys


def clean(text):
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    text = text.replace("\\\n", " ")
    return text


def squeeze(text):
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"\s*([(),;*{}])\s*", r"\1", text)


def main():
    tables = sys.argv[1] == "--tables"
    text = open(sys.argv[-1], encoding="utf-8").read()
    # protoc-gen-c puts its service code between these two headings.
    text = re.sub(r"/\* --- services --- \*/.*?/\* --- descriptors --- \*/", "", text, flags=re.S)
    text = clean(text)
    macros = re.findall(r"^#define (\w+__INIT)\b", text, flags=re.M)
    code = re.sub(r"^\s*#.*$", "", text, flags=re.M)
    code = code.replace("PROTOBUF_C__BEGIN_DECLS", "").replace("PROTOBUF_C__END_DECLS", "")
    code = re.sub(r"PROTOBUF_C__FORCE_ENUM_TO_BE_INT_SIZE\((\w+)\)", r", _\1_IS_INT_SIZE = INT_MAX",
                  code)

    lines, enumerators = ["macro " + m for m in macros], []
    enums = re.compile(r"typedef enum\s*(\w*)\s*\{(.*?)\}\s*(\w+)\s*;", re.S)
    for tag, body, name in enums.findall(code):
        for value in body.split(","):
            value = squeeze(value.replace("(-2147483647 - 1)", "-2147483648"))
            lines.append(f"enum {tag} {name} {value}")
            enumerators.append(value.split(" ")[0].split("=")[0])
    code = enums.sub("", code)

    struct = re.compile(r"struct\s+(\w+)\s*\{((?:[^{}]|\{[^{}]*\})*)\}\s*;", re.S)
    for name, body in struct.findall(code):
        plain = re.sub(r"union\s*\{[^{}]*\}\s*;", "UNION;", body)
        for position, member in enumerate(plain.split(";")):
            if squeeze(member):
                lines.append(f"struct {name} {position} {squeeze(member)}")
        for number, union in enumerate(re.findall(r"union\s*\{([^{}]*)\}", body)):
            for member in union.split(";"):
                if squeeze(member):
                    lines.append(f"struct {name} union {number} {squeeze(member)}")
    code = struct.sub("", code)

    declarations = [squeeze(d) for d in code.split(";") if squeeze(d)]
    declarations = [d for d in declarations if "ProtobufCServiceDescriptor" not in d]
    if not tables:
        print("\n".join(sorted(lines + ["declaration " + d for d in declarations])))
        return
    found = [re.match(r"extern const ProtobufC(Message|Enum)Descriptor (\w+)$", d)
             for d in declarations]
    print("int main(void)\n{\n    (void)dump_message;\n    (void)dump_enum;")
    for m in found:
        if m:
            print(f"    dump_{m.group(1).lower()}(&{m.group(2)});")
    for e in enumerators:
        print(f'    printf("%s %lld\\n", "{e}", (long long){e});')
    print("    return 0;\n}")


main()
