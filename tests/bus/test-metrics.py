#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""GetMetrics and `bpfchain metrics`: text that readers of OpenMetrics and of Prometheus' older format take, for
everybody; files that are whole at any moment; the unit that writes them."""

import os
import re
import select
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bus_lab  # noqa: E402
import bpfchain_test as bench  # noqa: E402
import openmetrics  # noqa: E402
from bpfchain_test import Skip, case, eventually  # noqa: E402
from dbus_wire import Error  # noqa: E402

ROOT, MANAGER = "/org/bpfchain1", "org.bpfchain1.Manager"

DOCUMENT = {
    "programs": {"a": {"object": "verdict.bpf.o", "function": "xdp_verdict"}, "m": {"object": "maps.bpf.o"},
                 "t": {"object": "verdict.bpf.o", "function": "tc_verdict"}},
    "chains": [{"interfaces": ["eth0", "odd*", "eth9"], "hook": "xdp", "programs": ["a", "m"]},
               {"interfaces": ["eth0"], "hook": "tc-egress", "programs": ["t"]}],
}


class Lab(bus_lab.BusLab):
    """Its client() goes by the system bus."""

    def __init__(self):
        super().__init__()
        try:
            self.install("verdict.bpf.o", "maps.bpf.o")
            self.document("edge", DOCUMENT)
            self.start()
            self.folder = self.path("textfile")
            os.mkdir(self.folder)
            self.file = os.path.join(self.folder, "bpfchain.prom")
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise

    @property
    def client_environment(self):
        environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.address}
        environment.pop("BPFCHAIN_SOCKET", None)
        return environment

    def client(self, *arguments, status=0, user=None, **_):
        result = subprocess.run([bench.CLIENT, *arguments], user=user, group=user, extra_groups=[] if user else None,
                                stdin=subprocess.DEVNULL, capture_output=True, env=self.client_environment,
                                timeout=bench.PATIENCE)
        assert result.returncode == status, f"{arguments}: exit status {result.returncode}, not {status}\n{result}"
        return result

    def says(self, text, *arguments, status=1, **options):
        result = self.client(*arguments, status=status, **options)
        assert text in result.stderr.decode() and not result.stdout, result

    def read(self):
        with open(self.file, "rb") as file:
            return file.read()


@case
def the_checker_refuses_what_is_wrong():
    head = "# TYPE bpfchain_x counter\n# HELP bpfchain_x A count.\n"
    good = head + 'bpfchain_x_total{a="b\\"\\\\\\n",c="d"} 1\nbpfchain_x_total{a="b",c="d"} 2.5e3\n# EOF\n'
    assert openmetrics.parse(good).value("bpfchain_x_total", a='b"\\\n') == 1
    assert openmetrics.parse("# EOF\n").families == {}
    for wrong in (
            good[:-1], good + "\n", good[:-6], head + "x# EOF\n", "\ufeff" + good, good.replace("\n", "\r\n"),
            good.replace("counter", "info"), good.replace("counter", "untyped"), good.replace("A count", '"A" count'),
            good.replace("_total", ""), good.replace("} 1", "} 1 1700000000"), good.replace("} 1", "} -1"),
            good.replace("} 1", "} 0x1"), good.replace("} 1", "}  1"), good.replace("} 1", "} NaN"),
            good.replace(',c="d"} 2', "} 2"), good.replace(',c="d"} 2', ',c="d",} 2'),
            good.replace(',c="d"} 2', ',e="d"} 2'),
            good.replace('c="d"', 'c="d",c="e"'), good.replace('c="d"', '__c="d"'), good.replace('"d"', '""'),
            good.replace('\\"', '"'), good.replace("\\n", "\\t"), good.replace("# HELP", "# HALP"),
            good.replace("# EOF", "# HELP bpfchain_x Again.\n# EOF"), head + good, good.replace("# TYPE", "#TYPE"),
            good.replace("# EOF", 'bpfchain_x_total{a="b",c="d"} 3\n# EOF'),
            good.replace("# HELP", "# UNIT bpfchain_x seconds\n# HELP"), good.replace("# EOF\n", "# EOF\n# EOF\n"),
            good.replace("# EOF", "# TYPE bpfchain_x_total gauge\n# HELP bpfchain_x_total A.\n# EOF"),
            good.replace("# EOF", "bpfchain_y 1\n# EOF"), good.replace("# HELP bpfchain_x A count.\n", ""),
            good.replace("# EOF", "\n# EOF")):
        try:
            openmetrics.parse(wrong)
        except openmetrics.Fault:
            continue
        raise AssertionError(f"taken though it is wrong:\n{wrong}")


def full_text(lab):
    """With names that need escaping, and chains in several states."""
    for name in ('odd"x\\y', "odd{},=", "odd\u00fc", "odd\\xff"):
        lab.inner.ip("link", "add", name, "type", "veth")
    eventually(lambda: len(re.findall(rb'chain_state\{interface="odd.*state="active"\} 1\n',
                                      lab.client("metrics").stdout)) == 4)
    return lab.client("metrics").stdout


@case
def everybody_gets_openmetrics():
    with Lab() as lab:
        full_text(lab)
        texts = [lab.client("metrics", user=user).stdout for user in (None, bus_lab.NOBODY)]
        with lab.new_client(uid=bus_lab.NOBODY) as client:
            texts.append(client.call(ROOT, MANAGER, "GetMetrics", "a{sv}", {}).encode())
        assert texts[0] == texts[1] == texts[2]
        metrics = openmetrics.parse(texts[0])
        names = {labels["interface"] for labels, _ in metrics.samples("bpfchain_chain_programs")}
        assert names == {"eth0", "eth9", 'odd"x\\y', "odd{},=", "odd\u00fc", "odd\\x5cxff"}, names
        for interface, state in (("eth0", "active"), ("eth9", "waiting"), ('odd"x\\y', "active")):
            states = metrics.samples("bpfchain_chain_state", interface=interface, hook="xdp")
            assert sorted(value for _, value in states) == [0, 0, 0, 0, 0, 1]
            assert metrics.value("bpfchain_chain_state", interface=interface, hook="xdp", state=state) == 1
        assert metrics.value("bpfchain_generation") == lab.generation()
        assert metrics.samples("bpfchain_map_max_entries", program="m", map="m_hash")[0][1] > 0
        assert metrics.value("bpfchain_program_verified_instructions", program="a") > 0
        assert metrics.value("bpfchain_slot_info", interface="eth0", hook="xdp", program="m", position="2") == 1


@case
def options_are_checked():
    with Lab() as lab, lab.new_client(uid=bus_lab.NOBODY) as client:
        try:
            client.call(ROOT, MANAGER, "GetMetrics", "a{sv}", {"format": ("s", "x")})
            raise AssertionError("an unknown option was taken")
        except Error as error:
            assert error.name == "org.bpfchain1.Error.InvalidArgument" and "format" in str(error), error


@case
def the_parser_of_prometheus_for_python_takes_it():
    try:
        from prometheus_client import parser as text_format
        from prometheus_client.openmetrics import parser
    except ImportError:
        raise Skip("python3-prometheus-client is not installed") from None
    with Lab() as lab:
        text = full_text(lab).decode()
        ours = openmetrics.parse(text)
        theirs = {family.name: family for family in parser.text_string_to_metric_families(text)}
        assert set(theirs) == set(ours.families)
        for name, family in ours.families.items():
            assert (theirs[name].type, theirs[name].unit, theirs[name].documentation) == (
                family.type, family.unit or "", family.help), name
            samples = {tuple(sorted(s.labels.items())): s.value for s in theirs[name].samples}
            assert samples == family.samples, name
        # The older format: each series by itself.
        older = [s for family in text_format.text_string_to_metric_families(text) for s in family.samples]
        assert len(older) == sum(len(family.samples) for family in ours.families.values())


@case
def the_manual_lists_what_there_is():
    with open(os.path.join(bench.SOURCE, "man/bpfchain-metrics.7"), encoding="utf-8") as file:
        manual = file.read()
    listed = {}
    for name, kind, labels in re.findall(r"^\.It Li (bpfchain_\w+) No \((\w+)\)((?: Cm \w+)*)$", manual, re.M):
        assert name not in listed, name
        listed[name] = kind, set(labels.split()) - {"Cm"}
    common = {"chain": {"interface", "hook"}, "slot": {"interface", "hook", "program"}, "program": {"program"},
              "map": {"program"}}
    with Lab() as lab:
        families = openmetrics.parse(lab.client("metrics").stdout).families.values()
    told = {f.name + ("_total" if f.type == "counter" else ""): f for f in families}
    assert set(listed) == set(told), set(listed) ^ set(told)
    for name, family in told.items():
        kind, labels = listed[name]
        assert kind == family.type, name
        if family.samples:
            assert set(family.labels) == labels | common.get(name.split("_")[1], set()), (name, family.labels)


@case
def a_file_is_whole_at_any_moment():
    with Lab() as lab:
        lab.client("metrics", "--output", lab.file)
        faults, stop = [], threading.Event()

        def look():
            looks = 0
            while not stop.is_set():
                try:
                    openmetrics.parse(lab.read())
                    looks += 1
                except (openmetrics.Fault, OSError) as fault:
                    faults.append(fault)
            if looks < 20:
                faults.append(f"only {looks} looks")

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        inodes = set()
        for _ in range(20):
            lab.client("metrics", f"--output={lab.file}")
            inodes.add(os.stat(lab.file).st_ino)
        stop.set()
        thread.join()
        assert not faults, faults[0]
        assert len(inodes) > 1, "the file was written over in its place"
        assert stat.S_IMODE(os.stat(lab.file).st_mode) == 0o644
        assert os.listdir(lab.folder) == ["bpfchain.prom"], os.listdir(lab.folder)


@case
def the_old_file_stays_when_the_service_does_not_answer():
    with Lab() as lab:
        lab.client("metrics", "--output", lab.file)
        before = lab.read(), os.stat(lab.file)

        def unchanged():
            assert (lab.read(), os.stat(lab.file).st_ino) == (before[0], before[1].st_ino)
            assert os.listdir(lab.folder) == ["bpfchain.prom"], os.listdir(lab.folder)

        # It is there and says nothing.
        lab.daemon.process.send_signal(signal.SIGSTOP)
        waiting = subprocess.Popen([bench.CLIENT, "metrics", "--output", lab.file], env=lab.client_environment,
                                   stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        bus_lab.settle(0.5)
        unchanged()
        waiting.terminate()
        waiting.communicate(timeout=bench.PATIENCE)
        lab.daemon.process.send_signal(signal.SIGCONT)
        lab.daemon.stop()
        lab.says("can't be reached", "metrics", "--output", lab.file, status=4)
        unchanged()


@case
def a_stopped_service_is_not_started():
    with Lab() as lab:
        lab.daemon.stop()
        # The bus would start it for others: this is what it would start.
        mark = lab.path("started")
        service = lab.write("services/org.bpfchain1.service", "[D-BUS Service]\nName=org.bpfchain1\n"
                            f"Exec=/bin/sh -c 'touch {mark}; exit 1'\nUser=root\n")
        folder = os.path.dirname(service)
        with open(lab.path("bus.conf"), encoding="utf-8") as file:
            config = file.read().replace("<type>system</type>", "")
        lab.stop_bus()
        lab.write("bus.conf", config.replace("<listen>", f"<servicedir>{folder}</servicedir><listen>"))
        with open(lab.path("bus.log"), "a", encoding="utf-8") as log:
            lab.bus = subprocess.Popen(["dbus-daemon", f"--config-file={lab.path('bus.conf')}", "--nofork",
                                        "--nopidfile"], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                       preexec_fn=bus_lab._die_with_us)
        eventually(lab._bus_answers)
        lab.says("can't be reached", "metrics", status=4)
        bus_lab.settle()
        assert not os.path.exists(mark), "the service was started"
        # So that this shows something: another verb does start it.
        lab.client("version", status=4)
        eventually(lambda: os.path.exists(mark))


@case
def what_is_no_file_is_left_alone():
    with Lab() as lab:
        target = os.path.join(lab.folder, "target")
        with open(target, "w", encoding="ascii") as file:
            file.write("mine\n")
        link, pipe = os.path.join(lab.folder, "link.prom"), os.path.join(lab.folder, "pipe.prom")
        os.symlink(target, link)
        os.mkfifo(pipe)
        for path in (link, pipe, lab.folder):
            lab.says("is no regular file", "metrics", "--output", path)
        with open(target, encoding="ascii") as file:
            assert os.path.islink(link) and stat.S_ISFIFO(os.stat(pipe).st_mode) and file.read() == "mine\n"
        lab.says("can't be written: No such file", "metrics", "--output", lab.path("nowhere/x.prom"))
        lab.says("can't be written: Permission denied", "metrics", "--output", lab.file, user=bus_lab.NOBODY)
        lab.says("name of a file", "metrics", "--output=", status=2)
        lab.says("name of a file", "metrics", "--output", lab.folder + "/", status=2)
        lab.says("no form in JSON", "--json=short", "metrics", status=2)
        assert sorted(os.listdir(lab.folder)) == ["link.prom", "pipe.prom", "target"]


def directives(path):
    """Of a unit: (key, value) in order."""
    with open(path, encoding="utf-8") as file:
        return re.findall(r"^(\w+)=(.*)$", file.read(), re.M)


@case
def the_command_of_the_unit_works_for_a_user_without_rights():
    unit = directives(os.path.join(bench.BUILD, "systemd/bpfchain-metrics.service"))
    user = next(value for key, value in unit if key == "User")
    with open(os.path.join(bench.SOURCE, "systemd/bpfchain-metrics.sysusers.conf"), encoding="utf-8") as file:
        assert re.search(rf"^u {user} - ", file.read(), re.M), user
    assert ("StateDirectory", "bpfchain-metrics") in unit
    with Lab() as lab:
        state = lab.path("state")
        os.makedirs(os.path.join(state, "bpfchain-metrics"))
        os.chown(os.path.join(state, "bpfchain-metrics"), bus_lab.NOBODY, bus_lab.NOBODY)
        environment = {}
        for key, value in unit:
            if key == "Environment":
                name, _, path = value.replace("%S", state).partition("=")
                environment[name] = path
        command = next(value for key, value in unit if key == "ExecStart").split()
        assert os.path.basename(command[0]) == "bpfchain"
        command = [re.sub(r"\$\{(\w+)\}", lambda match: environment[match[1]], word) for word in command[1:]]
        lab.client(*command, user=bus_lab.NOBODY)
        path = os.path.join(state, "bpfchain-metrics/bpfchain.prom")
        assert os.stat(path).st_uid == bus_lab.NOBODY
        with open(path, "rb") as file:
            openmetrics.parse(file.read())


@case
def node_exporter_takes_it():
    exporter = shutil.which("prometheus-node-exporter") or shutil.which("node_exporter")
    if not exporter:
        raise Skip("node_exporter is not installed")
    with Lab() as lab:
        text = full_text(lab)
        lab.client("metrics", "--output", lab.file)
        process = subprocess.Popen(
            [exporter, "--collector.disable-defaults", "--collector.textfile", "--web.listen-address=127.0.0.1:0",
             f"--collector.textfile.directory={lab.folder}"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
            preexec_fn=bus_lab._die_with_us)
        try:
            log, deadline = "", time.monotonic() + bench.PATIENCE
            while not (address := re.search(r"Listening on.*address=(127\.0\.0\.1:\d+)", log)):
                assert time.monotonic() < deadline and process.poll() is None, log
                if select.select([process.stderr], [], [], 0.1)[0]:
                    log += os.read(process.stderr.fileno(), 65536).decode()
            with urllib.request.urlopen(f"http://{address[1]}/metrics", timeout=bench.PATIENCE) as page:
                shown = page.read().decode()
        finally:
            process.kill()
            process.communicate()
        assert "\nnode_textfile_scrape_error 0\n" in shown, log
        metrics = openmetrics.parse(text)
        wanted = sum(len(family.samples) for family in metrics.families.values())
        assert len(re.findall(r"^bpfchain_\w+(?:\{.*\})? ", shown, re.M)) == wanted
        assert re.search(r"^# TYPE bpfchain_chain_state gauge$", shown, re.M)


bus_lab.require_bus()
bench.require_built(bench.CLIENT)
bench.run_cases()
