# SPDX-License-Identifier: LGPL-2.1-or-later
"""When the machine does not play along: full and missing file systems, no descriptors left, large packets, interface
names that nobody would choose, everything at once."""

import contextlib
import json
import os
import resource
import threading

from bpfchain_test import Wire, case, eventually, require_built, run_cases
from service_lab import ServiceLab, dbus_wire, order_program, simple_document, verdict_program

MANAGER = ("/org/bpfchain1", "org.bpfchain1.Manager")


def document_of(*numbers):
    return {"programs": {f"p{n}": order_program(n) for n in numbers},
            "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": [f"p{n}" for n in numbers]}]}


def fill(lab, folder):
    """A file system below the folder's contents that has no room left; returns what empties it again."""
    path = lab.path(folder)
    lab.inner.run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", path)
    return path


@case
def a_full_file_system_for_documents():
    with ServiceLab() as lab:
        lab.start()
        lab.apply("edge", document_of(1, 2))
        before = lab.snapshot()
        path = fill(lab, "etc/bpfchain/chains.d")
        try:
            with open(os.path.join(path, "edge.json"), "w", encoding="ascii") as file:
                json.dump(document_of(1, 2), file)
            fd = os.open(os.path.join(path, "rubbish"), os.O_WRONLY | os.O_CREAT)
            with contextlib.suppress(OSError):
                while True:
                    os.write(fd, bytes(4096))
            os.close(fd)
            said = lab.apply("edge", document_of(2, 1), status=1).stderr
            assert "No space" in said, said
            assert lab.all_ids() == {key: (c["link-id"], c["program-id"]) for key, c in before["chains"].items()}
            assert lab.order() == ["p1", "p2"]
            # Until the next boot it goes without.
            lab.apply("other", {"programs": {"p9": verdict_program("tc-ingress")}, "chains": [
                {"interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["p9"]}]}, "--runtime")
            os.unlink(os.path.join(path, "rubbish"))
            lab.apply("edge", document_of(2, 1))
            assert lab.order() == ["p2", "p1"]
        finally:
            lab.inner.run("umount", "-l", path)


@case
def no_room_for_the_state():
    """What runs is more important than what is written about it."""
    with ServiceLab() as lab:
        lab.start()
        path = lab.path("run/bpfchain")
        lab.inner.run("mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=2", "tmpfs", path)
        try:
            lab.apply("edge", document_of(1, 2))
            lab.client("order", "eth0", "xdp", "p2", "p1")
            assert lab.order() == ["p2", "p1"] and "state.json" in lab.log_text
            link = lab.chain()["link-id"]
            lab.restart()
            assert lab.order() == ["p2", "p1"] and lab.chain()["link-id"] == link
            lab.receive_exactly(lab.sender(), lab.receiver())
        finally:
            lab.inner.run("umount", "-l", path)


@case
def a_bpf_file_system_that_goes_away():
    with ServiceLab() as lab:
        lab.start()
        lab.apply("edge", document_of(1, 2))
        ids, mount = lab.all_ids(), os.path.dirname(lab.bpffs)
        lab.inner.run("umount", "-l", mount)
        lab.receive_exactly(lab.sender(), lab.receiver(), 10)
        said = lab.apply("edge", document_of(2, 1), status=1).stderr
        assert "bpffs" in said and mount in said, said
        assert lab.all_ids() == ids and lab.order() == ["p1", "p2"]
        lab.inner.run("mount", "-t", "bpf", "bpf", mount)
        lab.apply("edge", document_of(2, 1))
        assert lab.order() == ["p2", "p1"] and lab.chain()["link-id"] == ids["eth0", "xdp"][0]
        lab.restart()
        assert lab.chain()["link-id"] == ids["eth0", "xdp"][0] and lab.order() == ["p2", "p1"]


@case
def no_descriptors_left():
    with ServiceLab() as lab:
        lab.start()
        lab.apply("edge", document_of(1, 2))
        ids = lab.all_ids()
        soft, hard = resource.prlimit(lab.daemon.pid, resource.RLIMIT_NOFILE)
        # One by one, so that each place where a descriptor is opened fails once.
        used = lab.fd_count()
        for room in range(0, 40):
            resource.prlimit(lab.daemon.pid, resource.RLIMIT_NOFILE, (used + room, hard))
            result = lab.apply("edge", document_of(2, 1, 3), status=None)
            resource.prlimit(lab.daemon.pid, resource.RLIMIT_NOFILE, (soft, hard))
            if result.returncode == 0:
                break
            assert lab.all_ids() == ids, f"with room for {room}: {result.stderr}"
            # The client's connection may be closing yet; it is one descriptor or, with libsystemd 257, two.
            eventually(lambda: lab.fd_count() <= used)
        assert room > 3 and result.returncode == 0, f"with room for {room}: {result.stderr}"
        assert lab.order() == ["p2", "p1", "p3"]
        lab.receive_exactly(lab.sender(), lab.receiver())


@case
def many_chains_and_descriptors():
    """The usual limit of 1024 descriptors is no limit of chains."""
    with ServiceLab() as lab:
        names = [f"w{i}" for i in range(150)]
        lab.inner.ip_batch([f"link add {name} type veth peer name p-{name}" for name in names])
        lab.document("edge", {"programs": {"i": verdict_program("tc-ingress"), "e": verdict_program("tc-egress")},
                              "chains": [{"interfaces": ["w*", "p-w*"], "hook": "tc-ingress", "programs": ["i"]},
                                         {"interfaces": ["w*", "p-w*"], "hook": "tc-egress", "programs": ["e"]}]})
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
        try:
            lab.start()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        states = [chain["state"] for chain in lab.chains().values()]
        assert len(states) == 600 and set(states) == {"active"}, (len(states), set(states), lab.problems()[:3])
        ids = lab.all_ids()
        lab.restart()
        assert lab.all_ids() == ids


@case
def large_packets():
    with ServiceLab() as lab:
        lab.install("frags.bpf.o")
        lab.inner.ip("link", "set", "eth0", "mtu", "9000")
        lab.outer.ip("link", "set", lab.wire.outer_name, "mtu", "9000")
        lab.start()
        lab.apply("edge", simple_document())
        mode = lab.chain()["mode"]
        assert mode in ("native", "generic"), mode
        receiver, sender = lab.receiver(), lab.sender(size=8000)
        lab.receive_exactly(sender, receiver, 10)
        assert lab.slot("a")["packets"] == 10
        lab.client("withdraw", "edge")
        lab.apply("edge", {"programs": {"f": {"object": "frags.bpf.o"}},
                           "chains": [{"interfaces": ["eth0"], "hook": "xdp", "mode": "native", "programs": ["f"]}]})
        lab.receive_exactly(sender, receiver, 10)
        assert lab.slot("f")["ended"] == 10 and lab.chain()["mode"] == "native"
        # One that takes no such packets makes the whole chain so; where that does not fit, it is told.
        before = lab.ids()
        refused = lab.apply("more", {"programs": {"a": verdict_program("xdp")},
                                     "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["a"]}]}, status=None)
        assert refused.returncode == 0 or "MTU" in refused.stderr and lab.ids() == before, refused.stderr
        assert lab.chain()["state"] == "active" and lab.attached("eth0")[1] == lab.chain()["program-id"]
        lab.receive_exactly(sender, receiver, 10)


@case
def names_that_nobody_would_choose():
    names = ["we!rd", "a-b_c.d", "[abc]", "st*r", "q?", "~", "...x", "ümläut", "$(id)", "'\"`", "0", "-x", "a\\b"]
    with ServiceLab() as lab:
        for name in names:
            Wire(lab.inner, lab.outer, name, outer_name=f"o{names.index(name)}", up=False)
        lab.start()
        lab.apply("all", {"programs": {"a": verdict_program("tc-ingress"), "b": verdict_program("tc-ingress")},
                          "chains": [{"interfaces": ["*"], "hook": "tc-ingress", "programs": ["a", "b"]}]})
        chains = lab.chains()
        for name in names:
            assert chains[name, "tc-ingress"]["state"] == "active", name
            if not name.startswith("-"):
                lab.client("order", f"{name}/tc-ingress", "b", "a")
            else:
                lab.client("--", "order", name, "tc-ingress", "b", "a", status=None)
        ids = lab.all_ids()
        orders = {name: lab.order(name, "tc-ingress") for name in names}
        assert all(orders[name] == ["b", "a"] for name in names if not name.startswith("-")), orders
        lab.restart()
        assert lab.all_ids() == ids and {name: lab.order(name, "tc-ingress") for name in names} == orders
        assert lab.order("eth0", "tc-ingress") == ["a", "b"], "an edit of one interface reached another"
        text = lab.client("status").stdout
        assert all(name in text for name in names), text


@case
def everybody_at_once():
    """Several clients change the same chain; each change is whole, and the last state is one that was asked for."""
    with ServiceLab() as lab:
        lab.start()
        lab.apply("edge", document_of(1, 2, 3))
        path, failures = lab.chain()["path"], []

        def work(seed):
            try:
                bus = dbus_wire.Client(f"unix:path={lab.daemon.socket}", hello=False, timeout=60)
                orders = [["p1", "p2", "p3"], ["p3", "p2", "p1"], ["p2", "p1", "p3"]]
                for i in range(30):
                    bus.call(path, "org.bpfchain1.Chain", "SetOrder", "asa{sv}", orders[(seed + i) % 3], {})
                    bus.get_all(path, "org.bpfchain1.Chain")
                bus.close()
            except Exception as error:  # told by the main thread
                failures.append(error)

        with lab.traffic(rate=5000) as traffic:
            threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert not failures, failures
        traffic.assert_nothing_lost()
        assert {tuple(sorted(n for n, _ in trace)) for trace in traffic.traces()} == {(1, 2, 3)}
        assert lab.generation >= 2 + 180 and lab.chain()["state"] == "active"


@case
def an_interface_that_goes_while_it_is_changed():
    with ServiceLab() as lab:
        lab.start()
        bus = lab.bus()
        stop = threading.Event()

        def flap():
            while not stop.is_set():
                lab.inner.ip_batch(["link add w0 type veth peer name pw0", "link del w0"])

        thread = threading.Thread(target=flap)
        thread.start()
        try:
            for i in range(60):
                document = simple_document(interfaces=("w0", "eth0"), name="a" if i % 2 else "b")
                try:
                    bus.call(*MANAGER, "Apply", "ssa{sv}", "edge", json.dumps(document), {})
                except dbus_wire.Error as error:
                    assert error.short == "NoSuchInterface" or "w0" in error.message, error
        finally:
            stop.set()
            thread.join()
        lab.inner.ip("link", "add", "w0", "type", "veth", "peer", "name", "pw0")
        eventually(lambda: lab.chains().get(("w0", "xdp"), {}).get("state") == "active")
        assert lab.chain("eth0")["state"] == "active"
        lab.receive_exactly(lab.sender(), lab.receiver())


require_built()
run_cases()
