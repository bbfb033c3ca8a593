# SPDX-License-Identifier: LGPL-2.1-or-later
"""A change in which each system call fails once: afterwards all is as it was, or all is new."""

from bpfchain_test import case, eventually, require_built, run_cases
from service_faults import Injection, Subject
from service_lab import ServiceLab, assert_clean, dbus_wire

FILES = "openat,write,fsync,rename,renameat,renameat2,mkdir,unlink,unlinkat,fchmod,newfstatat,statfs"


def fail_each(calls, error, step=1):
    with ServiceLab(wires=2) as lab:
        subject = Subject(lab)
        assert subject.apply(3) is None and subject.apply(1) is None
        base, failed, done = lab.snapshot(), 0, 0
        for when in range(1, 2000, step):
            bus = subject.connect()
            injection = Injection(lab, calls, f"error={error}", when)
            refused = subject.apply(3, bus)
            hit = injection.end()
            try:
                assert lab.daemon.running, f"the service ended\n{lab.log_text[-3000:]}"
                version = subject.check()
                assert version == (1 if refused else 3), f"version {version}"
                if refused:
                    failed += 1
                    assert isinstance(refused, dbus_wire.Error) and len(refused.message) > 10, refused
                    bus.close()
                    eventually(lambda: lab.held() == base["held"])
                    lab.assert_unchanged(base)
                else:
                    done += 1
                    bus.close()
                    assert subject.apply(1) is None
                    subject.check()
                    base = lab.snapshot()
            except AssertionError as reason:
                raise AssertionError(f"call {when}, {hit}: {refused}\n{reason}") from None
            if not hit:
                break
        print(f"# of {when - 1} calls, {failed} made the change fail and {done - 1} did not matter")
        assert failed > 5, "hardly anything failed: is this the right list of calls?"
        # What was written in spite of all can be adopted.
        lab.restart()
        subject.check()
        assert_clean(lab.log_text)


@case
def each_bpf_call_fails():
    fail_each("bpf", "ENOMEM", step=2)


@case
def each_bpf_call_is_forbidden():
    fail_each("bpf", "EPERM", step=3)


@case
def each_file_call_fails():
    fail_each(FILES, "EIO", step=2)


@case
def no_descriptor_at_each_call():
    fail_each("openat,fcntl,socket", "EMFILE")


require_built()
run_cases()
