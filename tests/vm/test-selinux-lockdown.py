#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lock-down: while it is on nobody but the service, systemd and whom an administrator names brings a BPF program
in, and all that they do goes on. Two boots of the whole system: the first turns it on, off and on again, the second
begins with it.

Rebuilding the policy takes most of a minute when emulated, so it is done three times, and the order of cases
matters."""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import sys
import tempfile

from vm_lab import (BUILD, DAEMON, MANAGER, PACKAGE, ROOT_OBJECT, UNIT, Host, avcs, busctl, case, chains, command,
                    ids, journal_cursor, main_pid, run_cases, show, systemctl, wait_new_main)
from selinux_lab import SYSADM, as_service, boolean, context_of, label_of, modules, semodule

BOOT = int(os.environ["BPFCHAIN_VM_BOOT"])
HERE = os.path.dirname(os.path.abspath(__file__))

OBJECT = os.path.join(BUILD, "tests/bpf/verdict.bpf.o")
PINS = {"xdp": "/sys/fs/bpf/bct-xdp", "tc": "/sys/fs/bpf/bct-tc"}
ATTEMPTS = ["python3", "-B", os.path.join(HERE, "load_attempts.py"), OBJECT, PINS["xdp"], PINS["tc"]]
ALL = {"prog-load", "map-create", "object-get", "bpftool-prog-load", "bpftool-net-attach", "ip-xdp-object",
       "ip-xdp-pinned", "tc-object", "tc-pinned"}

# As containers of root's run: namespaces of their own, few capabilities, those that load programs among them.
CONTAINER = ["PrivateNetwork=yes", "PrivateTmp=yes", "PrivateIPC=yes", "ProtectHome=yes", "ProtectHostname=yes",
             "ProtectSystem=full", "CapabilityBoundingSet=CAP_BPF CAP_NET_ADMIN CAP_PERFMON CAP_SYS_ADMIN",
             "BindPaths=/sys/fs/bpf"]
SEND = "from socket import *; socket(AF_INET, SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))"
AS_SERVICE = "system_u:system_r:bpfchaind_t:s0"
RESCUE = "unconfined_u:unconfined_r:bpfchain_rescue_t:s0-s0:c0.c1023"
LOCAL = "/root/bct-loader.cil"

# Root as it appears: in a login, as a service, in something like a container, and as a confined administrator, who
# may not load programs in any case.
SUBJECTS = {
    "root in a shell": (command, "unconfined_t"),
    "a service of root's": (as_service(), "initrc_t"),
    "a container of root's": (as_service(*CONTAINER), "initrc_t"),
    "an administrator in sysadm_t": (as_service(f"SELinuxContext={SYSADM}"), "sysadm_t"),
}


def in_boot(number):
    """A case of one of the two boots."""
    return case if number == BOOT else lambda function: function


def attempt(run):
    """The names of all attempts that worked."""
    output = run(*ATTEMPTS).stdout
    results = dict(re.findall(r"^([a-z-]+) (yes|no)$", output, re.MULTILINE))
    assert set(results) == ALL, output
    return {name for name, result in results.items() if result == "yes"}, output


def all_are_refused(subjects):
    for name, (run, domain) in subjects.items():
        cursor = journal_cursor()
        worked, output = attempt(run)
        assert not worked, f"{name}: {worked} worked\n{output}"
        refused = {what for line in avcs(cursor) if f":{domain}:" in line and "tclass=bpf" in line
                   for what in re.findall(r"(prog_load|map_create|prog_run)", line)}
        assert {"prog_load", "map_create"} <= refused, f"{name}: denials were recorded of {refused} only"
        # A confined administrator does not come so far as to the program behind a pin.
        assert "prog_run" in refused or domain == "sysadm_t", f"{name}: {refused}"
        print(f"# {name} ({domain}): refused {sorted(refused)}")


def all_are_allowed(subjects):
    for name, (run, domain) in subjects.items():
        worked, output = attempt(run)
        wanted = ALL if domain != "sysadm_t" else set()
        assert worked == wanted, f"{name}: {worked ^ wanted} differ\n{output}"


@contextlib.contextmanager
def fenced_service():
    """A service that systemd keeps from the network and from devices, by programs of its own."""
    unit = f"bct-fenced-{os.getpid()}.service"
    command("systemd-run", "--quiet", f"--unit={unit}", "--property=IPAddressDeny=any",
            "--property=DeviceAllow=/dev/null rw", "--property=DevicePolicy=strict", "--property=ProtectSystem=full",
            "sleep", "600")
    try:
        yield unit
    finally:
        systemctl("stop", unit)


def systemds_own_protections_work():
    """It would run such a unit without them as well, and say nothing."""
    with fenced_service() as unit:
        group = "/sys/fs/cgroup" + show(unit, "ControlGroup")
        programs = command("bpftool", "cgroup", "show", group).stdout
        for kind in ("cgroup_inet_ingress", "cgroup_inet_egress", "cgroup_device"):
            assert kind in programs, f"systemd loaded no {kind}: {programs}"
        inside = ["sh", "-c", f'echo $$ >{group}/cgroup.procs && exec "$@"', "sh"]
        result = command(*inside, "python3", "-c", SEND, check=False)
        assert "PermissionError" in result.stderr, f"IPAddressDeny= has no effect: {result.stderr}"
        result = command(*inside, "head", "-c1", "/dev/zero", check=False)
        assert "Operation not permitted" in result.stderr, f"DeviceAllow= has no effect: {result.stderr}"
        command(*inside, "head", "-c1", "/dev/null")


def the_service_works():
    with Host() as host:
        host.run_chain("xdp")
        host.run_chain("tc-ingress", program="b")
        host.passes(20)
        before = ids()
        systemctl("reload", UNIT)
        assert ids() == before
        systemctl("restart", UNIT)
        assert ids() == before
        pid = main_pid()
        os.kill(pid, signal.SIGKILL)
        assert context_of(wait_new_main(pid)) == AS_SERVICE
        assert ids() == before
        systemctl("stop", UNIT)
        host.passes(20)
        busctl("get-property", "org.bpfchain1", ROOT_OBJECT, MANAGER, "State", user="alice")
        assert context_of(main_pid()) == AS_SERVICE
        assert ids() == before
        host.passes(20)


def preloads():
    """Whether the linker would put a library of root's choice into the service. There is none of that name, which it
    says."""
    output = as_service("Environment=LD_PRELOAD=/usr/lib/bct-none.so")(DAEMON, "--version").stdout
    assert "bpfchaind" in output, output
    return "bct-none" in output


def refused(*words, **options):
    result = command(*words, check=False, **options)
    assert result.returncode != 0, f"{' '.join(map(str, words))}: it worked\n{result.stdout}"
    return result


# Off, as it is after an installation


@in_boot(1)
def off_it_hinders_nobody():
    assert modules()["bpfchain-lockdown"] is False
    command("bpftool", "prog", "loadall", OBJECT, "/sys/fs/bpf/bct", "pinmaps", "/sys/fs/bpf/bct-maps")
    for kind, pin in PINS.items():
        os.rename(f"/sys/fs/bpf/bct/{kind}_verdict", pin)
    all_are_allowed(SUBJECTS)


@in_boot(1)
def off_there_are_ways_through_init_and_the_service():
    """What the lock-down has to close; else cases below would show nothing."""
    assert preloads()
    shutil.copy("/usr/sbin/bpftool", "/var/tmp/bct-tool")
    as_service()("/var/tmp/bct-tool", "prog", "load", OBJECT, "/sys/fs/bpf/bct-init", "type", "xdp")
    os.unlink("/sys/fs/bpf/bct-init")


# On


@in_boot(1)
def it_is_turned_on():
    semodule("--enable=bpfchain-lockdown")
    assert modules()["bpfchain-lockdown"] is True


@in_boot(1)
def on_all_is_refused():
    all_are_refused(SUBJECTS)


@case
def on_the_service_works():
    the_service_works()


@case
def on_systemds_own_programs_are_loaded():
    systemds_own_protections_work()


@in_boot(1)
def what_has_no_type_does_not_run_as_init():
    for tool in ("/var/tmp/bct-tool", "/usr/sbin/bpftool"):
        properties = [] if tool.startswith("/var") else ["SELinuxContext=system_u:system_r:init_t:s0"]
        cursor = journal_cursor()
        result = as_service(*properties)(tool, "version", check=False)
        assert result.returncode == 203, f"{tool}: exit status {result.returncode}\n{result.stdout}"
        assert any("execute_no_trans" in line and ":init_t:" in line for line in avcs(cursor)), tool


@in_boot(1)
def nothing_becomes_an_executable_of_theirs():
    copy = "/usr/local/bin/bct-tool"
    shutil.copy("/usr/sbin/bpftool", copy)
    try:
        for kind in ("bpfchaind_exec_t", "init_exec_t"):
            cursor = journal_cursor()
            context = f"system_u:object_r:{kind}:s0"
            refused("chcon", context, copy)
            refused("runcon", "-t", "unconfined_t", "cp", f"--context={context}", "/usr/sbin/bpftool", copy + "2")
            refused("mount", "-t", "tmpfs", "-o", f"context={context}", "bct", "/mnt")
            assert label_of(copy) != kind and not os.path.ismount("/mnt")
            assert sum(kind in line for line in avcs(cursor)) >= 3, avcs(cursor)
        refused("sh", "-c", f": >>{DAEMON}")
        refused("mv", DAEMON, DAEMON + ".old")
        refused("ln", DAEMON, DAEMON + ".2")
        assert label_of(DAEMON) == "bpfchaind_exec_t"
    finally:
        os.unlink(copy)


@in_boot(1)
def nobody_becomes_the_service_or_works_through_it():
    pid = main_pid()
    refused("runcon", AS_SERVICE, DAEMON, "--version")
    result = as_service(f"SELinuxContext={AS_SERVICE}")("/usr/sbin/bpftool", "version", check=False)
    assert result.returncode == 203, result.stdout
    libc = ctypes.CDLL(None, use_errno=True)
    for target in (pid, 1):
        assert libc.ptrace(0x4206, target, 0, 0) == -1, f"process {target} can be traced"  # PTRACE_SEIZE
        try:
            with open(f"/proc/{target}/mem", "r+b"):
                raise AssertionError(f"the memory of process {target} can be written")
        except PermissionError:
            pass
    descriptor = os.pidfd_open(pid)
    assert libc.syscall(438, descriptor, 0, 0) == -1, "descriptors of the service's can be had"  # pidfd_getfd
    os.close(descriptor)


@in_boot(1)
def nothing_is_put_into_the_service_by_its_environment():
    assert not preloads(), "the linker did as it was told"


@in_boot(1)
def pins_and_maps_of_the_service_are_its_own():
    with Host() as host:
        chain = host.run_chain()
        folder = "/sys/fs/bpf/bpfchain"
        pins = [os.path.join(where, name) for where, _, names in os.walk(folder) for name in names]
        assert pins
        for pin in pins:
            refused("rm", pin)
            refused("mv", pin, "/sys/fs/bpf/bct-moved")
        refused("mkdir", f"{folder}/bct")
        refused("mv", folder, "/sys/fs/bpf/bct-moved")
        refused("rm", "-r", folder)
        refused("bpftool", "prog", "dump", "xlated", "id", chain["program-id"])
        refused("bpftool", "net", "attach", "xdp", "id", chain["program-id"], "dev", "lo")
        refused("bpftool", "map", "dump", "name", "hits")
        assert chains()["eth0", "xdp"]["link-id"] == chain["link-id"]
        host.passes(10)


@in_boot(1)
def there_is_a_way_out():
    """By a boolean, which takes no rebuilding, and a domain that is entered by hand."""
    way = ["runcon", RESCUE, "sh", "-c", f"bpftool prog load {OBJECT} /sys/fs/bpf/bct-rescue type xdp && "
           "bpftool prog show pinned /sys/fs/bpf/bct-rescue && rm /sys/fs/bpf/bct-rescue"]
    refused(*way)
    assert as_service(f"SELinuxContext={RESCUE}")("/bin/true", check=False).returncode != 0
    with boolean("bpfchain_rescue"):
        assert "xdp_verdict" in command(*way).stdout
    refused(*way)


def package(folder):
    """A Debian package with the service's executable, which differs from the one that is there."""
    tree = os.path.join(folder, "tree")
    os.makedirs(tree)
    command("tar", "--extract", f"--file={PACKAGE}", f"--directory={tree}", "." + DAEMON)
    with open(tree + DAEMON, "ab") as file:
        file.write(b"another version")
    os.mkdir(os.path.join(tree, "DEBIAN"))
    with open(os.path.join(tree, "DEBIAN/control"), "w", encoding="utf-8") as file:
        file.write("Package: bct-bpfchain\nVersion: 2\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.org>\n"
                   "Description: the service in another version\n")
    result = os.path.join(folder, "bct.deb")
    command("dpkg-deb", "--build", "-Znone", "--root-owner-group", tree, result)
    return result


@in_boot(1)
def a_package_manager_upgrades_the_service():
    with Host() as host, tempfile.TemporaryDirectory(dir="/root") as work:
        host.run_chain()
        pid, before, old = main_pid(), ids(), os.stat(DAEMON).st_ino
        deb = package(work)
        cursor = journal_cursor()
        command("dpkg", "--install", deb)
        try:
            assert label_of(DAEMON) == "bpfchaind_exec_t", label_of(DAEMON)
            assert os.stat(DAEMON).st_ino != old
            systemctl("try-restart", UNIT)
            new = wait_new_main(pid)
            assert context_of(new) == AS_SERVICE
            with open(f"/proc/{new}/exe", "rb") as file:
                assert file.read().endswith(b"another version")
            assert ids() == before
            denied = [line for line in avcs(cursor) if "bpfchaind_exec_t" in line]
            assert not denied, "\n".join(denied)
        finally:
            command("dpkg", "--purge", "bct-bpfchain", check=False)
            command("tar", "--extract", f"--file={PACKAGE}", "--directory=/", "--keep-directory-symlink",
                    "./usr/libexec/bpfchain")
            command("restorecon", "-RF", "/usr/libexec/bpfchain")
        systemctl("restart", UNIT)
        assert ids() == before


# Off again, with a module of the administrator's already in place, and on once more


@in_boot(1)
def turned_off_all_is_allowed_again():
    with open(LOCAL, "w", encoding="ascii") as file:
        file.write("(typeattributeset bpfchain_loader_domain (initrc_t))\n")
    semodule("--disable=bpfchain-lockdown", f"--install={LOCAL}")
    assert modules()["bpfchain-lockdown"] is False
    all_are_allowed({name: SUBJECTS[name] for name in ("root in a shell", "a container of root's")})


@in_boot(1)
def turned_on_again_one_domain_has_the_right_by_one_line():
    semodule("--enable=bpfchain-lockdown")
    all_are_refused({"root in a shell": SUBJECTS["root in a shell"]})
    all_are_allowed({"a service of root's": SUBJECTS["a service of root's"]})
    systemds_own_protections_work()


# After a boot with it


@in_boot(2)
def the_boot_is_clean():
    assert modules()["bpfchain-lockdown"] is True
    state = systemctl("is-system-running", "--wait", check=False).stdout.strip()
    failed = systemctl("--failed", "--no-legend", "--plain").stdout
    assert (state, failed) == ("running", ""), f"{state}: {failed}"
    denied = [line for line in avcs() if re.search(r"execute_no_trans|noatsecure|ptrace|tclass=bpf", line)
              and not re.search(r"scontext=\w+:\w+:\w+_systemd_t:", line)]
    assert not denied, "\n".join(denied)


@in_boot(2)
def what_was_refused_is_refused():
    worked, output = attempt(command)
    assert not worked, output


@case
def nothing_was_denied_to_the_service():
    # But for another executable that was to become it.
    denied = [line for line in avcs() if re.search(r"scontext=\w+:\w+:bpfchaind_t:", line)
              and "{ entrypoint }" not in line]
    assert not denied, "\n".join(denied)


if BOOT not in (1, 2):
    print("SKIP: this test has two boots")
    sys.exit(77)
run_cases()
