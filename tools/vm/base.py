# SPDX-License-Identifier: LGPL-2.1-or-later
"""The base of the test VM: the root of a Debian system made from packages, as a tar, without anything of ours.

It depends on nothing but the lists below, so it is kept in the cache under a hash of them. The packages come from
the mirror that this machine is configured to use, or from the one that BPFCHAIN_VM_MIRROR names."""

import os
import re
import subprocess

from common import CannotRun, Failed, digest_of, need_architecture, need_root, need_tools, prune, run, timed

SUITE = "trixie"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
VERSION = 1  # of the recipe below

PACKAGES = [
    # A system
    "linux-image-cloud-amd64", "systemd", "systemd-sysv", "udev", "dbus", "polkitd", "kmod", "passwd", "procps",
    "busybox-static",
    # SELinux, and what builds and loads modules
    "selinux-policy-default", "selinux-policy-dev", "selinux-utils", "policycoreutils", "semodule-utils", "secilc",
    # What bpfchain needs at run time
    "libbpf1", "libsystemd0", "libnl-3-200", "libnl-genl-3-200", "libnl-route-3-200", "libjson-c5", "libpcap0.8t64",
    "libssl3t64",
    # What the tests use: Python, and the tools that others attach programs with
    "python3", "iproute2", "bpftool", "xdp-tools",
]

# Nobody reads manuals in there.
DPKG_OPTIONS = [
    "path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/info/*", "path-exclude=/usr/share/bash-completion/*",
    "path-exclude=/usr/share/perl/*/unicore/*",
]

# The VM has an initramfs of our own; making Debian's would take longer than all the rest.
NO_INITRAMFS = ('chroot "$1" dpkg-divert --quiet --local --rename --add /usr/sbin/update-initramfs && '
                'ln -sf /bin/true "$1/usr/sbin/update-initramfs"')

# What apt says when it is the mirror's or the network's fault.
UNREACHABLE = re.compile(r"(Could not (resolve|connect)|Unable to connect|Temporary failure resolving|"
                         r"Connection (failed|timed out)|does not have a Release file|404 +Not Found).*")


def own_mirror():
    """The mirror of Debian that apt on this machine uses, for whichever release."""
    mirror = os.environ.get("BPFCHAIN_VM_MIRROR")
    if mirror:
        return mirror
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(SITE)",
               "Created-By: Packages"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    except FileNotFoundError:
        lines = []
    for line in lines:
        origin, label, component, site = line.split("|", 3)
        if (origin, label, component) == ("Debian", "Debian", "main") and not site.startswith("cdrom"):
            return site
    raise CannotRun("apt on this machine knows no mirror of Debian (or has not read its lists yet: apt-get update); "
                    "name one by BPFCHAIN_VM_MIRROR")


def base_key():
    return digest_of(VERSION, SUITE, *PACKAGES, *DPKG_OPTIONS, NO_INITRAMFS)


def build_base(cache, fresh=False):
    """Returns the path of the tar, which is made when it is not there."""
    path = os.path.join(cache, f"base-{SUITE}-{base_key()}.tar.zst")
    if os.path.exists(path) and not fresh:
        os.utime(path)
        return path

    need_architecture()
    need_root()
    need_tools("mmdebstrap", "zstd", "chroot")
    mirror = own_mirror()
    if not os.path.exists(KEYRING):
        raise CannotRun(f"{KEYRING} is missing; \"sudo ./dev deps vm\" gets it")
    partial = path + ".part"
    with timed(f"Making a Debian system ({SUITE}) from {len(PACKAGES)} packages and what they need; "
               "this is done once."):
        try:
            run("mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar", "--architectures=amd64",
                f"--keyring={KEYRING}", "--include=" + ",".join(PACKAGES), "--aptopt=Apt::Install-Recommends false",
                "--aptopt=Acquire::Retries 3", *(f"--dpkgopt={option}" for option in DPKG_OPTIONS),
                f"--essential-hook={NO_INITRAMFS}", SUITE, partial + ".tar", mirror)
        except Failed as error:
            unreachable = UNREACHABLE.search(str(error))
            if not unreachable:
                raise
            raise CannotRun(f"the packages of Debian {SUITE} can't be had from {mirror}: {unreachable[0]}; "
                            "name a mirror by BPFCHAIN_VM_MIRROR") from None
        run("zstd", "-q", "-f", "-T0", "-5", "--rm", partial + ".tar", "-o", partial)
        os.rename(partial, path)
    prune(cache, "base-", 2)
    return path
