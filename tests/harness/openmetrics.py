# SPDX-License-Identifier: LGPL-2.1-or-later
"""A strict reader of OpenMetrics 1.0 text, for what bpfchaind tells monitoring systems.

    metrics = openmetrics.parse(text)
    metrics.value("bpfchain_chain_packets_total", interface="eth0", hook="xdp")

It takes less than the specification allows: gauges and counters only, no time stamps and no exemplars, the same label
names in all samples of a family, and no quotes in help texts. What it takes, readers of the text format 0.0.4 of
Prometheus take as well, node_exporter's textfile collector among them.
"""

import math
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[n"\\])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL}(?:,{LABEL})*)?)\}})? (\S+)")
METADATA = re.compile(rf"# (TYPE|UNIT|HELP) ({NAME}) (.*)")
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
# Names that samples of the type may have beside the family's own.
SUFFIXES = {"gauge": [""], "counter": ["_total", "_created"]}
ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


class Fault(Exception):
    """The text is not what it should be; says in which line and why."""


class Family:
    def __init__(self, name):
        self.name = name
        self.type = self.unit = self.help = None
        self.labels = None  # names of the labels of all samples, sorted
        self.samples = {}  # ((label, value), …) sorted -> value


class Metrics:
    """What a text says; `families` by name."""

    def __init__(self):
        self.families = {}

    def samples(self, name, **labels):
        """[(labels, value)] of the samples of this name that have these labels among theirs."""
        family = self.families.get(name) or self.families[name.removesuffix("_total")]
        assert name == family.name + ("_total" if family.type == "counter" else ""), name
        return [(dict(key), value) for key, value in family.samples.items() if labels.items() <= dict(key).items()]

    def value(self, name, **labels):
        """The value of the one sample that there is."""
        found = self.samples(name, **labels)
        assert len(found) == 1, f"{len(found)} samples of {name} with {labels}"
        return found[0][1]


def _unescape(text):
    return re.sub(r"\\(.)", lambda match: ESCAPES[match[1]], text)


def _metadata(metrics, family, line):
    match = METADATA.fullmatch(line)
    if not match:
        raise Fault("a line beginning with # is TYPE, UNIT, HELP or EOF")
    word, name, rest = match.groups()
    if family is None or family.name != name:
        if name in metrics.families:
            raise Fault(f"{name} begins a second time")
        family = metrics.families[name] = Family(name)
    if family.samples:
        raise Fault(f"{word} of {name} comes behind its samples")
    # The order that is asked for: TYPE, UNIT, HELP, each once.
    if word == "TYPE":
        if (family.type, family.unit, family.help) != (None, None, None):
            raise Fault(f"TYPE of {name} is not the first line about it")
        if rest not in SUFFIXES:
            raise Fault(f'"{rest}" is no type that all readers know')
        family.type = rest
    elif word == "UNIT":
        if family.unit is not None or family.help is not None:
            raise Fault(f"UNIT of {name} is there already, or behind HELP")
        if not name.endswith("_" + rest):
            raise Fault(f'{name} does not end in its unit "{rest}"')
        family.unit = rest
    else:
        if family.help is not None:
            raise Fault(f"HELP of {name} is there already")
        if not rest or '"' in rest or "\\" in rest:
            raise Fault(f"HELP of {name} is empty, or has what the two formats escape differently")
        family.help = rest
    return family


def _number(text):
    if not NUMBER.fullmatch(text):
        raise Fault(f'"{text}" is no number')
    return float(text) if set(text) & set(".eE") else int(text)


def _sample(family, line):
    match = SAMPLE.fullmatch(line)
    if not match:
        raise Fault("this is no sample")
    name, inside, number = match[1], match[2] or "", match[match.re.groups]
    if family is None or family.type is None:
        raise Fault(f"{name} has no TYPE")
    if name != family.name + SUFFIXES[family.type][0]:
        raise Fault(f"{name} stands among the samples of {family.name}")
    labels = [(label, _unescape(value)) for label, value in re.findall(LABEL, inside)]
    names = sorted(label for label, _ in labels)
    if len(set(names)) != len(names):
        raise Fault("a label is there twice")
    if any(label.startswith("_") for label in names):
        raise Fault("names of labels that begin with _ are reserved")
    if any(not value for _, value in labels):
        raise Fault("an empty label is as none")
    if family.labels not in (None, names):
        raise Fault(f"{names} are other labels than {family.labels} before")
    family.labels = names
    key = tuple(sorted(labels))
    if key in family.samples:
        raise Fault("these labels were there already")
    value = _number(number)
    if family.type == "counter" and (value < 0 or math.isnan(value)):
        raise Fault("a counter is not negative")
    family.samples[key] = value


def _check_clashes(metrics):
    seen = {}
    for family in metrics.families.values():
        for suffix in {"", *SUFFIXES[family.type]}:
            other = seen.setdefault(family.name + suffix, family.name)
            if other != family.name:
                raise Fault(f"samples of {other} and {family.name} could have one name")


def parse(text):
    """Text or bytes. Raises Fault."""
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    if "\r" in text or "\0" in text or text.startswith("\ufeff"):
        raise Fault("no carriage returns, no NUL, no byte order mark")
    if not text.endswith("# EOF\n"):
        raise Fault("the end is missing")
    metrics, family = Metrics(), None
    for number, line in enumerate(text[:-len("# EOF\n")].split("\n")[:-1], 1):
        try:
            if line.startswith("#"):
                family = _metadata(metrics, family, line)
            else:
                _sample(family, line)
        except Fault as fault:
            raise Fault(f"line {number}: {line}: {fault}") from None
    if text != "# EOF\n" and not text.endswith("\n# EOF\n"):
        raise Fault("the end is no line of its own")
    for family in metrics.families.values():
        if family.type is None or family.help is None:
            raise Fault(f"{family.name} has no TYPE or no HELP")
    _check_clashes(metrics)
    return metrics
