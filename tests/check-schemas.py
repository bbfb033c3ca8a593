#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The shipped JSON Schemas are schemas, and agree with the sample files: they accept all good ones and refuse all
bad ones, except those whose fault no schema can express. The unit tests of the service read the same samples."""

import glob
import json
import os
import sys

try:
    import jsonschema
except ImportError:
    print("1..0 # SKIP the Python module jsonschema is not installed")
    sys.exit(0)
if not hasattr(jsonschema, "Draft202012Validator"):
    print("1..0 # SKIP the Python module jsonschema is too old for draft 2020-12")
    sys.exit(0)

SOURCE = os.environ.get("BPFCHAIN_SOURCE") or os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# JSON Schema has no word for "once in an array whatever the form", the rest is the service's to say.
BEYOND = {"slot-twice"}

count = failed = 0


def result(good, what, why=""):
    global count, failed
    count += 1
    print(f"{'ok' if good else 'not ok'} {count} - {what}")
    if not good:
        failed += 1
        if why:
            print("# " + str(why).replace("\n", "\n# "))


def refuse_twice(pairs):
    names = [name for name, _ in pairs]
    if len(names) != len(set(names)):
        raise ValueError("a key stands twice")
    return dict(pairs)


def faults(validator, path):
    """What is wrong with a file, as a list of sentences."""
    with open(path, encoding="utf-8") as file:
        try:
            value = json.load(file, object_pairs_hook=refuse_twice)
        except ValueError as error:
            return [str(error)]
    return [error.message for error in validator.iter_errors(value)]


def samples(kind, side):
    return sorted(glob.glob(os.path.join(SOURCE, "tests", "data", kind, side, "*.json")))


for schema_name, kind in (("bpfchain-document", "documents"), ("bpfchain-settings", "settings")):
    with open(os.path.join(SOURCE, "service", "schema", schema_name + ".schema.json"), encoding="utf-8") as file:
        schema = json.load(file)
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
        result(True, f"{schema_name} is a schema")
    except jsonschema.SchemaError as error:
        result(False, f"{schema_name} is a schema", error.message)
    validator = jsonschema.Draft202012Validator(schema)

    good, bad = samples(kind, "good"), samples(kind, "bad")
    result(good and bad, f"there are samples of {kind}")
    for path in good:
        found = faults(validator, path)
        result(not found, f"{kind}: accepts {os.path.basename(path)}", "\n".join(found))
    for path in bad:
        name = os.path.basename(path).removesuffix(".json")
        if name not in BEYOND:
            result(bool(faults(validator, path)), f"{kind}: refuses {name}.json")
        expect = path.removesuffix(".json") + ".expect"
        result(os.path.exists(expect), f"{kind}: {name}.json has its expected message beside it")

print(f"1..{count}")
sys.exit(1 if failed else 0)
