#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""embed.py NAME INPUT OUTPUT: a C header with the bytes of a file, for programs that carry it with them: an array
NAME, aligned as ELF files want it."""

import sys

COLUMNS = 24


def main():
    name, source, target = sys.argv[1:]
    with open(source, "rb") as file:
        data = file.read()
    if not data:
        sys.exit(f"{source} is empty")
    with open(target, "w", encoding="ascii") as file:
        file.write(f"/* Made of {name}. */\n#pragma once\n\nstatic const unsigned char {name}[{len(data)}]"
                   " __attribute__((aligned(8))) = {\n")
        for start in range(0, len(data), COLUMNS):
            file.write(",".join(str(byte) for byte in data[start:start + COLUMNS]) + ",\n")
        file.write("};\n")


if __name__ == "__main__":
    main()
