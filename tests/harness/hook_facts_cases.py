# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases of the service's source of facts about hooks (kernel/hook-facts.h), by itself, in network namespaces of
their own: for test-hook-facts.py, which runs them on this kernel, and tests/vm/test-facts.py, which runs them on one
that is known to let tracing programs in.

Others act by programs of tests/netns, by ip(8) and by bpftool(8); what they did must be told, once, and with who did
it, whether or not they are still there."""

import contextlib
import errno
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time

from bpfchain_test import BUILD, Namespace, Skip, Wire, case, eventually, find_object

PROGRAMS = os.path.join(BUILD, "tests", "netns")
ACT, FLOOD, WATCH = (os.path.join(PROGRAMS, name) for name in ("guard-act", "hook-flood", "hook-watch"))
FLOOD_ACTS = 10000  # half of them on each kind of hook


class Watch:
    """hook-watch in a namespace; `facts` are those told so far."""

    def __init__(self, namespace, *arguments):
        self.facts = []
        self.process = namespace.popen([WATCH, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.rest = b""
        self.first = eventually(self._first)

    def _lines(self):
        self.rest += self.process.stdout.read() or b""
        *lines, self.rest = self.rest.split(b"\n")
        return [json.loads(line) for line in lines]

    def _first(self):
        lines = self._lines()
        self.facts += lines[1:]
        return lines and lines[0]

    def take(self):
        self.facts += self._lines()
        return self.facts

    def wait(self, count=1, **members):
        """Exactly so many facts with these members come; takes them away."""
        def come():
            found = [fact for fact in self.take() if all(fact.get(key) == value for key, value in members.items())]
            assert len(found) >= count, f"{len(found)} of {count} facts with {members}, last {self.facts[-4:]}"
            return found
        found = eventually(come)
        assert len(found) == count, f"{len(found)} facts instead of {count}, last {found[-4:]}"
        self.facts = [fact for fact in self.facts if fact not in found]
        return found[-1]

    def quiet(self):
        """Nothing else is told."""
        time.sleep(0.3)
        assert not self.take(), self.facts

    def end(self):
        """What is said at the end."""
        self.process.stdin.close()
        assert self.process.wait(60) == 0
        self.take()
        self.process.stdout.close()
        return self.facts.pop()

    def close(self):
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process.stdin.close()


class FactsLab:
    """Two namespaces with a veth pair, eth0 in the inner one, which is watched; a folder for foreign programs."""

    def __init__(self, *arguments):
        self._arguments = arguments
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        try:
            self.inner = self._stack.enter_context(Namespace("inner"))
            self.outer = self._stack.enter_context(Namespace("outer"))
            self.wire = Wire(self.inner, self.outer, "eth0")
            self.watch = self._stack.enter_context(contextlib.closing(Watch(self.inner, *self._arguments)))
            if "reason" in self.watch.first:
                raise Skip(self.watch.first["reason"])
            self.folder = tempfile.mkdtemp(prefix="bct-facts-", dir="/sys/fs/bpf")
            self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        except BaseException:
            self._stack.close()
            raise
        self.ifindex = self.inner.link("eth0")["ifindex"]
        return self

    def __exit__(self, *_):
        self._stack.close()

    def program(self, kind, name):
        """A foreign program, pinned; its path and id."""
        path = os.path.join(self.folder, name)
        self.inner.run("bpftool", "prog", "load", find_object("verdict-v2.bpf.o"), path, "type", kind)
        return path, json.loads(self.inner.run("bpftool", "-j", "prog", "show", "pinned", path).stdout)["id"]

    def act(self, *arguments, namespace=None, check=True):
        """Of a process that ends at once; its pid."""
        result = (namespace or self.inner).run(ACT, *map(str, arguments), check=check)
        return int(result.stdout.split()[1]) if result.returncode == 0 else None

    def flood(self, kind, ifindex=None, count=1):
        """How many acts were done, and in how many nanoseconds."""
        words = (FLOOD, kind, str(ifindex or self.ifindex), str(count))
        return map(int, self.inner.run(*words, timeout=300).stdout.split())

    @contextlib.contextmanager
    def holding(self, *arguments):
        """A link that lives until the block ends; (pid, id of the link)."""
        before = self.links()
        with self.inner.popen([ACT, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as process:
            pid = int(process.stdout.readline().split()[1])
            link, = self.links() - before
            yield pid, link
            process.stdin.close()
            process.wait(20)

    def links(self):
        """Ids of all links on eth0; those that are not attached any more are not."""
        return {link["id"] for link in json.loads(self.inner.run("bpftool", "-j", "link", "show").stdout or "[]")
                if link.get("type") in ("xdp", "tcx") and link.get("ifindex") == self.ifindex}


@case
def programs_are_told_of_with_who_loaded_them():
    with FactsLab("programs") as lab:
        _, program = lab.program("xdp", "first")
        fact = lab.watch.wait(act="program-loaded", program=program)
        assert (fact["comm"], fact["uid"]) == ("bpftool", 0), fact
        assert fact["executable"].endswith("/bpftool") and not os.path.exists(f"/proc/{fact['pid']}"), fact
        os.unlink(os.path.join(lab.folder, "first"))
        lab.watch.wait(act="program-unloaded", program=program)


@case
def says_what_it_sees_or_why_not():
    with Namespace("inner") as inner, contextlib.closing(Watch(inner)) as watch:
        if "reason" not in watch.first:
            assert watch.first == {"complete": True}, watch.first
            assert watch.end() == {"facts": 0, "lost": 0}
            return
        probe = inner.run("bpftool", "-j", "feature", "probe", "kernel").stdout
        known = json.loads(probe)["program_types"].get("have_tracing_prog_type")
        assert watch.first["error"] == os.strerror(errno.EPERM), watch.first
        assert "tracing programs" in watch.first["reason"] and "CAP_PERFMON" in watch.first["reason"], watch.first
        assert not known, "bpftool could load a tracing program"


@case
def xdp_links():
    with FactsLab() as lab:
        (first, first_id), (second, second_id) = lab.program("xdp", "first"), lab.program("xdp", "second")
        with lab.holding("xdp", lab.ifindex, first) as (pid, link):
            fact = lab.watch.wait(act="attach")
            assert (fact["hook"], fact["ifindex"], fact["program"]) == ("xdp", lab.ifindex, first_id), fact
            assert (fact["pid"], fact["result"], fact["uid"]) == (pid, 0, 0), fact
            assert fact["executable"] == ACT and fact["command"].startswith(ACT + " xdp "), fact

            pid = lab.act("update", link, second)
            fact = lab.watch.wait(act="replace")
            assert (fact["hook"], fact["program"], fact["pid"], fact["comm"]) == ("xdp", second_id, pid, "guard-act")

            pid = lab.act("detach", link)
            fact = lab.watch.wait(act="detach")
            assert (fact["hook"], fact["ifindex"], fact["program"], fact["pid"]) == (
                "xdp", lab.ifindex, second_id, pid), fact
        # What is detached already is not told when its owner lets go of it.
        lab.watch.quiet()

        with lab.holding("xdp", lab.ifindex, first) as (pid, link):
            lab.watch.wait(act="attach")
        fact = lab.watch.wait(act="detach", program=first_id)
        assert fact["pid"] == pid, fact
        lab.watch.quiet()


@case
def xdp_by_netlink():
    with FactsLab() as lab:
        first, first_id = lab.program("xdp", "first")
        second, second_id = lab.program("xdp", "second")
        lab.inner.ip("link", "set", "eth0", "xdp", "pinned", first)
        fact = lab.watch.wait(act="attach")
        assert (fact["hook"], fact["program"], fact["comm"]) == ("xdp", first_id, "ip"), fact
        refused = lab.inner.ip("link", "set", "eth0", "xdp", "pinned", second, check=False)
        assert refused.returncode != 0
        fact = lab.watch.wait(program=second_id)
        assert fact["result"] == -errno.EBUSY, fact
        lab.inner.ip("-force", "link", "set", "eth0", "xdp", "pinned", second)
        assert lab.watch.wait(program=second_id)["result"] == 0
        lab.inner.ip("link", "set", "eth0", "xdp", "off")
        fact = lab.watch.wait(act="detach")
        assert (fact["hook"], fact["comm"]) == ("xdp", "ip") and fact["executable"].endswith("/ip"), fact
        lab.watch.quiet()


@case
def tcx_links_and_programs():
    with FactsLab() as lab:
        first, first_id = lab.program("classifier", "first")
        second, second_id = lab.program("classifier", "second")
        with lab.holding("before-link", lab.ifindex, first) as (pid, link):
            fact = lab.watch.wait(act="precede")
            assert (fact["hook"], fact["ifindex"], fact["program"], fact["pid"]) == (
                "tc-ingress", lab.ifindex, first_id, pid), fact
            pid = lab.act("update", link, second)
            fact = lab.watch.wait(act="replace")
            assert (fact["hook"], fact["program"], fact["pid"]) == ("tc-ingress", second_id, pid), fact
            pid = lab.act("detach", link)
            fact = lab.watch.wait(act="detach")
            assert (fact["hook"], fact["program"], fact["pid"]) == ("tc-ingress", second_id, pid), fact
        pid = lab.act("before-program", lab.ifindex, first)
        fact = lab.watch.wait(act="precede")
        assert (fact["program"], fact["pid"], fact["result"]) == (first_id, pid, 0), fact
        assert lab.act("before-program", lab.ifindex, first, check=False) is None
        assert lab.watch.wait(act="precede")["result"] == -errno.EEXIST
        pid = lab.act("remove-program", lab.ifindex, first)
        fact = lab.watch.wait(act="detach")
        assert (fact["hook"], fact["program"], fact["pid"]) == ("tc-ingress", first_id, pid), fact
        lab.watch.quiet()


@case
def netkit():
    with FactsLab() as lab:
        made = lab.inner.ip("link", "add", "here", "type", "netkit", "peer", "name", "there", check=False)
        if made.returncode != 0:
            raise Skip(f"netkit can't be had here: {made.stderr.strip()}")
        ifindex = lab.inner.link("here")["ifindex"]
        lab.flood("netkit", ifindex, 6)
        for act, count in (("attach", 1), ("precede", 1), ("replace", 2), ("detach", 2)):
            fact = lab.watch.wait(count, act=act)
            assert (fact["hook"], fact["ifindex"], fact["result"]) == ("", ifindex, 0), fact
            assert fact["comm"] == "hook-flood", fact
        lab.watch.quiet()


@case
def culprits_that_are_gone_with_their_binaries():
    with FactsLab() as lab:
        program, _ = lab.program("xdp", "first")
        for _ in range(20):
            copy = os.path.join(tempfile.gettempdir(), "bct-gone-act")
            shutil.copy(ACT, copy)
            with lab.holding("xdp", lab.ifindex, program) as (_, link):
                lab.watch.wait(act="attach")
                lab.inner.run("sh", "-c", f"exec 3<{copy}; rm {copy}; exec /proc/self/fd/3 detach {link}")
                fact = lab.watch.wait(act="detach")
            assert not os.path.exists(f"/proc/{fact['pid']}") and not os.path.exists(copy)
            assert fact["executable"].startswith(copy), fact
            assert fact["command"].endswith(f"detach {link}"), fact
        lab.watch.quiet()


@case
def culprits_in_another_namespace():
    with FactsLab() as lab, Namespace("stranger") as stranger:
        program, program_id = lab.program("xdp", "first")
        with lab.holding("xdp", lab.ifindex, program) as (_, link):
            lab.watch.wait(act="attach")
            pid = lab.act("detach", link, namespace=stranger)
            fact = lab.watch.wait(act="detach")
            assert (fact["ifindex"], fact["program"], fact["pid"]) == (lab.ifindex, program_id, pid), fact
        # What others do to interfaces of their own is none of ours.
        name = lab.wire.outer_name
        lab.outer.ip("link", "set", name, "xdp", "pinned", program)
        lab.outer.ip("link", "set", name, "xdp", "off")
        lab.watch.quiet()


@case
def interfaces():
    with FactsLab() as lab:
        lab.inner.ip("link", "add", "spare", "type", "dummy")
        ifindex = lab.inner.link("spare")["ifindex"]
        lab.inner.ip("link", "set", "spare", "name", "other")
        fact = lab.watch.wait(act="interface-renamed", ifindex=ifindex)
        assert (fact["hook"], fact["comm"], fact["result"]) == ("", "ip", 0), fact
        lab.inner.ip("link", "del", "other")
        assert lab.watch.wait(act="interface-delete", ifindex=ifindex)["comm"] == "ip"
        with Namespace("away") as away:
            lab.inner.ip("link", "set", "eth0", "netns", f"/proc/{os.getpid()}/fd/{away.fd}")
            assert lab.watch.wait(act="interface-move", ifindex=lab.ifindex)["comm"] == "ip"
            lab.watch.quiet()


@case
def nothing_is_missed_at_full_speed():
    with FactsLab("count") as lab:
        done = 0
        for kind in ("xdp", "tcx"):
            acts, nsec = lab.flood(kind, count=FLOOD_ACTS // 2)
            print(f"# {kind}: {acts} acts in {nsec / 1e9:.2f} s, {acts / nsec * 1e9:.0f} a second")
            done += acts
        counted = lab.watch.end()
        print(f"# told {counted['facts']}, lost and said so {counted['lost']}")
        assert done >= FLOOD_ACTS
        assert counted["facts"] + counted["lost"] == done, (counted, done)


@case
def it_is_told_at_once():
    with FactsLab() as lab:
        program, _ = lab.program("classifier", "first")
        taken = []
        for _ in range(50):
            lab.act("before-program", lab.ifindex, program)
            lab.act("remove-program", lab.ifindex, program)
            for act in ("precede", "detach"):
                fact = lab.watch.wait(act=act)
                taken.append((fact["told"] - fact["time"]) / 1000)
        print(f"# from the act to the record, in ms: median {statistics.median(taken):.2f}, worst {max(taken):.2f}")
        assert statistics.median(taken) < 50, taken
