# SPDX-License-Identifier: LGPL-2.1-or-later
"""The image of the test VM: the base, users, what the host needs in there, and bpfchain as `meson install` installs
it, labelled for SELinux, as an ext4 file system; a small initramfs; and the kernel beside it.

It is kept in the cache under a hash of all that goes into it. Nothing is mounted to make it."""

import contextlib
import glob
import json
import lzma
import os
import shutil
import tempfile

from base import base_key, build_base
from common import (GUEST, SOURCE, CannotRun, Failed, cache_folder, digest_of, digest_of_files, digest_of_tree,
                    locked, need_architecture, need_root, need_tools, prune, run, say, timed)

VERSION = 2  # of what is done below
SIZE = "1200M"  # sparse
KEEP = 3  # images in the cache

# Where the SELinux policy is, and the modules that it is made of.
POLICY_MODULES = "usr/share/selinux/packages/bpfchain"
POLICY_FOLDERS = ["etc/selinux/default", "var/lib/selinux/default", POLICY_MODULES]
POLICY_VERSION = 2  # of what is done with them
SELINUX = os.path.join(SOURCE, "selinux")

# Modules that mount the root need; all else is loaded from the root itself.
INITRAMFS_MODULES = ["virtio_blk"]

USERS = """\
groupadd --gid 2000 netops
useradd --uid 1000 --create-home --shell /bin/bash alice
useradd --uid 1001 --create-home --shell /bin/bash --groups netops bob
"""

FILES = {
    "etc/hostname": "bpfchain-vm\n",
    "etc/fstab": "",
    # Else each boot would be a first one.
    "etc/machine-id": "b9fcba1100000000000000000000be57\n",
    "etc/selinux/config": "SELINUX=enforcing\nSELINUXTYPE=default\n",
    # All that happens is read by the host at the end of each boot.
    "etc/systemd/journald.conf.d/bpfchain-vm.conf":
        "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nForwardToSyslog=no\n",
    # Emulated, all takes its time.
    "etc/systemd/system.conf.d/bpfchain-vm.conf": "[Manager]\nDefaultTimeoutStartSec=180s\n",
    "etc/sysctl.d/90-bpfchain-vm.conf": "kernel.printk_ratelimit = 0\n",
}

# Denials reach the journal whole by the audit socket; without auditd the kernel log would drop most of them.
LINKS = {
    "etc/systemd/system/sockets.target.wants/systemd-journald-audit.socket":
        "/usr/lib/systemd/system/systemd-journald-audit.socket",
    "etc/systemd/system/multi-user.target.wants/bpfchain-vm-agent.service":
        "/etc/systemd/system/bpfchain-vm-agent.service",
    "etc/systemd/system/multi-user.target.wants/bpfchain-vm-shell.service":
        "/etc/systemd/system/bpfchain-vm-shell.service",
    # There is one console, and it belongs to the log or to the shell above.
    "etc/systemd/system/getty.target": "/dev/null",
    "etc/systemd/system/serial-getty@ttyS0.service": "/dev/null",
}


class Image:
    """A finished image: a folder with root.img, initrd, vmlinuz."""

    def __init__(self, folder):
        self.folder = folder
        self.root = os.path.join(folder, "root.img")
        self.initrd = os.path.join(folder, "initrd")
        self.kernel = os.path.join(folder, "vmlinuz")
        self.key = os.path.basename(folder)

    @property
    def complete(self):
        return os.path.exists(os.path.join(self.folder, "manifest.json"))


def install_project(build, stage):
    """`meson install` of a build into a folder, as a package would be made."""
    if not os.path.exists(os.path.join(build, "build.ninja")):
        raise CannotRun(f"{build} is not configured; \"./dev build\" does it")
    run("meson", "install", "-C", build, "--quiet", "--no-rebuild", "--destdir", stage)
    if not os.path.exists(os.path.join(stage, "usr")):
        raise CannotRun(f"{build} is not configured with prefix=/usr, as the VM needs it")


def unpack_package(package, tree):
    """The package into a root, through its links of folders (/lib is one)."""
    run("tar", "--extract", f"--file={package}", f"--directory={tree}", "--keep-directory-symlink",
        "--no-same-owner", "--same-permissions")


def chroot(tree, *command):
    return run("chroot", tree, *command, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"})


def write_file(tree, path, text):
    path = os.path.join(tree, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def prepare(tree):
    """What makes a test VM of a Debian system."""
    for path, text in FILES.items():
        write_file(tree, path, text)
    for line in USERS.splitlines():
        chroot(tree, *line.split())
    os.makedirs(os.path.join(tree, "usr/libexec/bpfchain-vm"))
    for name in ("agent", "shell"):
        shutil.copy(os.path.join(GUEST, name), os.path.join(tree, "usr/libexec/bpfchain-vm"))
    for path in glob.glob(os.path.join(GUEST, "*.service")):
        shutil.copy(path, os.path.join(tree, "etc/systemd/system"))
    for path, target in LINKS.items():
        path = os.path.join(tree, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.symlink(target, path)


def add_project(tree, package):
    """bpfchain, as an administrator installs and enables it. The package stays there, for tests of upgrades."""
    unpack_package(package, tree)
    shutil.copy(package, os.path.join(tree, "usr/libexec/bpfchain-vm/package.tar"))
    try:
        chroot(tree, "/usr/libexec/bpfchain/bpfchaind", "--version")
        chroot(tree, "/usr/bin/bpfchain", "--version")
    except Failed as error:
        raise CannotRun("what was built on this host does not run in the VM's Debian, whose libraries are others: "
                        f"{str(error).splitlines()[-1]}") from None
    chroot(tree, "systemd-sysusers")
    chroot(tree, "systemctl", "enable", "--quiet", "bpfchaind.service")
    # Else each boot would find a /usr that is newer than what was made of it.
    chroot(tree, "ldconfig")
    chroot(tree, "/usr/lib/systemd/systemd-update-done")


def policy_sources():
    """bpfchain's SELinux modules, and those that only tests want."""
    return sorted(path for folder in (SELINUX, GUEST) for kind in ("te", "if", "fc", "cil")
                  for path in glob.glob(os.path.join(folder, "*." + kind)))


def policy_key():
    return digest_of(POLICY_VERSION, base_key(), digest_of_files(*policy_sources()))


def _compile_policy(tree):
    """Against the policy that is in there, which is not the host's, and all modules in one transaction."""
    work = os.path.join(tree, "tmp/bpfchain-policy")
    os.mkdir(work)
    for path in policy_sources():
        shutil.copy(path, work)
    chroot(tree, "make", "--silent", "-C", "/tmp/bpfchain-policy", "-f", "/usr/share/selinux/devel/Makefile",
           "bpfchain.pp")
    # What an installation in there would have, beside what the host may have built against a policy of its own.
    installed = os.path.join(tree, POLICY_MODULES)
    os.makedirs(installed, exist_ok=True)
    for path in ["bpfchain.pp"] + [os.path.basename(path) for path in glob.glob(os.path.join(SELINUX, "*.cil"))]:
        shutil.copy(os.path.join(work, path), installed)
    modules = ["bpfchain.pp"] + sorted(name for name in os.listdir(work) if name.endswith(".cil"))
    chroot(tree, "semodule", "--store=default", "--noreload", "--priority=200",
           *(f"--install=/tmp/bpfchain-policy/{name}" for name in modules), "--disable=bpfchain-lockdown")
    shutil.rmtree(work)


def add_policy(tree, cache):
    """SELinux modules, in the policy that the boot loads, with the lock-down off as it is after an installation. They
    take longer than all the rest, so what came of them is kept."""
    kept = os.path.join(cache, f"policy-{policy_key()}.tar")
    if os.path.exists(kept):
        os.utime(kept)
        for folder in POLICY_FOLDERS:
            shutil.rmtree(os.path.join(tree, folder), ignore_errors=True)
        run("tar", "--extract", f"--file={kept}", f"--directory={tree}", "--numeric-owner")
        return
    _compile_policy(tree)
    run("tar", "--create", f"--file={kept}.part", f"--directory={tree}", "--numeric-owner", *POLICY_FOLDERS)
    os.rename(kept + ".part", kept)
    prune(cache, "policy-", KEEP)


def label(tree):
    """By the tree's own setfiles and policy, so that no boot has to. A host without SELinux keeps the labels as
    they are; one with it does so for root."""
    policy = "/etc/selinux/default"
    binary = sorted(glob.glob(f"{tree}{policy}/policy/policy.*"))
    if not binary:
        raise Failed("the base has no SELinux policy")
    chroot(tree, "setfiles", "-F", "-T", "0", "-c", binary[-1][len(tree):],
           f"{policy}/contexts/files/file_contexts")
    chroot(tree, "setfiles", "-F", "-T", "0", f"{policy}/contexts/files/file_contexts", "/")
    try:
        os.getxattr(os.path.join(tree, "usr/libexec/bpfchain/bpfchaind"), "security.selinux")
    except OSError as error:
        raise CannotRun(f"the file system of the cache folder keeps no SELinux labels ({error.strerror}); "
                        "name another folder by BPFCHAIN_VM_CACHE") from None


def make_initrd(tree, work, target):
    top = os.path.join(work, "initramfs")
    for folder in ("bin", "dev", "sys", "proc", "root", "modules"):
        os.makedirs(os.path.join(top, folder))
    shutil.copy(os.path.join(GUEST, "init"), top)
    shutil.copy(os.path.join(tree, "usr/bin/busybox"), os.path.join(top, "bin"))
    for applet in ("sh", "mount", "umount", "insmod", "sleep", "cat", "poweroff", "switch_root"):
        os.symlink("busybox", os.path.join(top, "bin", applet))
    for module in INITRAMFS_MODULES:
        found = glob.glob(f"{tree}/usr/lib/modules/*/kernel/**/{module}.ko*", recursive=True)
        if len(found) != 1:
            raise Failed(f"the base has {len(found)} modules {module}")
        with (lzma.open if found[0].endswith(".xz") else open)(found[0], "rb") as source, \
                open(os.path.join(top, "modules", module + ".ko"), "wb") as copy:
            shutil.copyfileobj(source, copy)
    # The VM's own busybox makes the archive, so that the host needs no cpio.
    run("sh", "-c", 'find . | "$1" cpio -o -H newc 2>/dev/null | gzip -1 >"$2"', "sh",
        os.path.join(tree, "usr/bin/busybox"), target, cwd=top)


def image_key(package_digest):
    guest = [os.path.join(GUEST, name) for name in sorted(os.listdir(GUEST))]
    return digest_of(VERSION, base_key(), policy_key(), package_digest, digest_of_files(*guest), SIZE, USERS,
                     json.dumps([FILES, LINKS, INITRAMFS_MODULES]))


def _build(cache, image, package):
    base = build_base(cache)
    with timed("Making the image of the test VM."), tempfile.TemporaryDirectory(dir=cache, prefix="work-") as work:
        tree = os.path.join(work, "root")
        os.mkdir(tree)
        run("tar", "--extract", f"--file={base}", "--zstd", f"--directory={tree}", "--numeric-owner")
        prepare(tree)
        add_project(tree, package)
        add_policy(tree, cache)
        label(tree)

        part = os.path.join(work, "image")
        os.mkdir(part, 0o755)
        kernels = glob.glob(os.path.join(tree, "boot", "vmlinuz-*"))
        if len(kernels) != 1:
            raise Failed(f"the base has {len(kernels)} kernels")
        shutil.copy(kernels[0], os.path.join(part, "vmlinuz"))
        make_initrd(tree, work, os.path.join(part, "initrd"))
        run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-E", "root_owner=0:0", "-d", tree,
            os.path.join(part, "root.img"), SIZE)
        with open(os.path.join(part, "manifest.json"), "w", encoding="utf-8") as file:
            json.dump({"base": os.path.basename(base), "kernel": os.path.basename(kernels[0])}, file)
        for name in os.listdir(part):
            os.chmod(os.path.join(part, name), 0o644)
        shutil.rmtree(image.folder, ignore_errors=True)
        os.rename(part, image.folder)
    prune(cache, "image-", KEEP)


def build_image(build, fresh_base=False):
    """Returns the Image for what a build folder installs; made when there is none."""
    need_architecture()
    need_tools("tar", "zstd", "meson", "mke2fs", "chroot")
    cache = cache_folder()
    with tempfile.TemporaryDirectory(prefix="bct-vm-") as work:
        stage = os.path.join(work, "stage")
        install_project(build, stage)
        image = Image(os.path.join(cache, "image-" + image_key(digest_of_tree(stage))))
        if image.complete and not fresh_base:
            os.utime(image.folder)
            return image
        need_root()
        package = os.path.join(work, "package.tar")
        run("tar", "--create", f"--file={package}", f"--directory={stage}", "--owner=root:0", "--group=root:0",
            "--sort=name", ".")
        with locked(cache):
            if fresh_base:
                build_base(cache, fresh=True)
            if fresh_base or not image.complete:
                _build(cache, image, package)
            else:
                say("Another build made this image meanwhile.")
    return image
