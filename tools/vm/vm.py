#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vm.py COMMAND: a virtual machine with a Debian of its own, in which bpfchain is installed, for tests of all that a
network namespace can't show: systemd, the system bus, polkit, SELinux, the kernel's start.

Called by ./dev vm; HACKING.md says how it is made. An exit status of 77 means that this host can't, with the reason
in a line that begins with "SKIP:"."""

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile

import suite
from base import build_base
from common import SOURCE, CannotRun, Failed, cache_folder, locked, need_tools, one_of_few, say
from image import build_image
from machine import MEMORY, Crashed, Machine, make_job_disk, saved_state

EXIT_SKIP = 77


def is_sanitized(build):
    with contextlib.suppress(OSError, ValueError), \
            open(os.path.join(build, "meson-info", "intro-buildoptions.json"), encoding="utf-8") as file:
        return any(option["name"] == "b_sanitize" and option["value"] != "none" for option in json.load(file))
    return False


def command_build(options):
    if options.base:
        with locked(cache_folder(), "the packages' system"):
            print(build_base(cache_folder(), options.fresh))
        return 0
    image = build_image(options.build, options.fresh)
    if options.saved_state:
        saved_state(image)
    print(image.folder)
    return 0


def command_run(options):
    """A folder's file "run", or a command line, in the VM."""
    image = build_image(options.build)
    with tempfile.TemporaryDirectory(prefix="bct-vm-") as work:
        job = os.path.join(work, "job")
        if options.folder:
            shutil.copytree(options.folder, job, symlinks=True)
        else:
            os.mkdir(job)
        if options.command:
            with open(os.path.join(job, "run"), "w", encoding="utf-8") as file:
                file.write("#!/bin/bash\n" + (options.command[0] if len(options.command) == 1
                                              else shlex.join(options.command)) + "\n")
            os.chmod(file.name, 0o755)
        if not os.access(os.path.join(job, "run"), os.X_OK):
            raise Failed("a command is wanted, or by --job a folder with an executable file \"run\"")
        boot = suite.Boot(image, work, lean=not options.full, use_state=options.saved_state,
                          console=options.console, append=options.append)
        boot.prepare(job)
        status = boot.run(options.timeout, lambda line: print(line, flush=True))
        if options.output:
            os.makedirs(options.output, exist_ok=True)
            boot.take_results(options.output)
        say(boot.times())
        return status


def command_shell(options):
    if not sys.stdin.isatty():
        raise Failed("a shell wants a terminal; \"./dev vm run COMMAND\" does without")
    image = build_image(options.build)
    size = shutil.get_terminal_size()
    term = os.environ.get("TERM", "dumb")
    with tempfile.TemporaryDirectory(prefix="bct-vm-") as work:
        empty = os.path.join(work, "empty")
        os.mkdir(empty)
        make_job_disk(empty, os.path.join(work, "job"))
        say("Booting; emulated, that takes some 20 seconds.")
        with Machine(image, None, os.path.join(work, "job"), lean=not options.full,
                     shell=f"{size.lines},{size.columns},{term}") as machine:
            return machine.interact()


def command_test(options):
    if os.environ.get("BPFCHAIN_TEST_VM") == "0":
        raise CannotRun("BPFCHAIN_TEST_VM=0 is set")
    if is_sanitized(options.build):
        raise CannotRun("the VM has no sanitizers' libraries; the suite takes a plain build")
    need_tools("qemu-system-x86_64")
    image = build_image(options.build)
    with one_of_few(cache_folder(), each=MEMORY * 5 // 4):
        return suite.run_suite(image, options.build, options.script, lean=not options.full, boots=options.boots,
                               use_state=options.saved_state, seconds=options.timeout, keep=options.output,
                               append=options.append)


def arguments():
    parser = argparse.ArgumentParser(prog="./dev vm", description=__doc__.split("\n\n", maxsplit=1)[0])
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--build", default=os.path.join(SOURCE, "build"), help="build folder (default: build)")
    booted = argparse.ArgumentParser(add_help=False)
    booted.add_argument("--full", action="store_true", help="boot all of the system, not only what tests need")
    state = argparse.ArgumentParser(add_help=False)
    state.add_argument("--saved-state", action="store_true",
                       default=os.environ.get("BPFCHAIN_VM_SAVED_STATE") == "1",
                       help="boot once and keep the state; begin with it later (BPFCHAIN_VM_SAVED_STATE=1)")
    kept = argparse.ArgumentParser(add_help=False, parents=[state])
    kept.add_argument("--timeout", type=int, default=900, metavar="SECONDS", help="for the job (default: 900)")
    kept.add_argument("--append", default="", metavar="WORDS", help="put these behind the kernel's command line, where "
                      "the last of a kind counts; it takes a boot")
    kept.add_argument("--output", metavar="FOLDER", help="put what the job left in its folder \"out\", the journal "
                      "and the console into this folder")

    build = commands.add_parser("build", parents=[common, state], help="make the image, or say where it is")
    build.add_argument("--base", action="store_true", help="only what takes no build of bpfchain: the packages")
    build.add_argument("--fresh", action="store_true", help="take all packages anew")
    run = commands.add_parser("run", parents=[common, booted, kept], help="run a command in the VM")
    run.add_argument("--job", dest="folder", metavar="FOLDER", help="copy this folder in; its file \"run\" is run "
                     "unless there is a command")
    run.add_argument("--console", metavar="FILE", help="keep the console in this file")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="one word is a shell script")
    commands.add_parser("shell", parents=[common, booted], help="a root shell in the VM")
    test = commands.add_parser("test", parents=[common, booted, kept], help="run test scripts of tests/vm")
    test.add_argument("--boots", type=int, default=1, help="so often; the disk is kept from one to the next")
    test.add_argument("script", nargs="+", help="tests/vm/test-SCRIPT.py")
    return parser.parse_args()


def main():
    options = arguments()
    command = {"build": command_build, "run": command_run, "shell": command_shell, "test": command_test}
    # So that the folders and QEMU go away with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        options.build = os.path.abspath(options.build)
        return command[options.name](options)
    except CannotRun as reason:
        print(f"SKIP: {reason}", flush=True)
        return EXIT_SKIP
    except (Failed, Crashed) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
