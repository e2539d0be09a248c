"""How this process shuts itself in, with what Linux offers an ordinary process.

Namespaces (user, mount, process, network, IPC, host name): the file system is an empty one with a
few directories of the machine, read-only; no other process and no network is there. See
namespaces(7), pivot_root(2), mount_setattr(2).
Landlock, where a container forbids namespaces: of the machine's files those same directories can be
read, and nothing can be written. See landlock(7).
Both are followed by limits and by the filter of `syscalls`.
"""

import ctypes
import os
import resource
import signal
import struct
from collections.abc import Mapping
from typing import Any

NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (
    0x00020000,
    0x02000000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
MNT_DETACH = 2
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_SETATTR = 442
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
NOBODY = 65534
STAGE = "/sys"
"""Mounted over while the new root is made; it is everywhere, and no interpreter lives there."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")

_libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> int:
    """A function of the C library. Raises OSError that names it."""
    result: int = getattr(_libc, name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def die_with_parent(parent: int) -> None:
    """End when the process that started this one does; `parent`: its id, 0 if it can't be seen.

    To be said again after each change of who one is.
    """
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent and os.getppid() != parent:
        os._exit(1)


def enter_namespaces(machine: str, readable: list[str], tmp_bytes: int, *, parent: int) -> None:
    """Come back in a process that is alone, without privileges and without a network, in a file
    system of its own. The process that called waits, and ends as that one does.

    Raises OSError where the machine doesn't allow it.
    """
    apart = NEWNS | NEWPID | NEWNET | NEWIPC | NEWUTS | NEWCGROUP
    is_root = os.geteuid() == 0
    try:
        if not is_root:
            raise PermissionError
        call("unshare", apart)
    except PermissionError:
        _enter_user_namespace(apart)
        is_root = False
    die_with_parent(parent)
    child = os.fork()
    if child:
        os.closerange(0, 3)
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    _new_root(machine, readable, tmp_bytes)
    if is_root:
        become_nobody()
    drop_capabilities()
    die_with_parent(0)


def _enter_user_namespace(apart: int) -> None:
    uid, gid = os.geteuid(), os.getegid()
    call("unshare", NEWUSER | apart)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{NOBODY} {uid} 1"),
        ("gid_map", f"{NOBODY} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _new_root(machine: str, readable: list[str], tmp_bytes: int) -> None:
    """Make the only files there are: `readable` directories and an empty /tmp."""
    flags = MS_NOSUID | MS_NODEV
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    _mount("tmpfs", STAGE, "tmpfs", flags, "size=1m,mode=755")
    # First, as an interpreter may be in there.
    os.mkdir(f"{STAGE}/tmp")
    size = f"size={tmp_bytes},nr_inodes=1024,mode=1777"
    _mount("tmpfs", f"{STAGE}/tmp", "tmpfs", flags, size)
    for path in (*readable, *DEVICES):
        if not os.path.exists(path):
            continue
        there, is_folder = STAGE + path, os.path.isdir(path)
        if os.path.islink(path) and os.path.dirname(path) == "/":
            os.symlink(os.readlink(path), there)
            continue
        os.makedirs(there if is_folder else os.path.dirname(there), exist_ok=True)
        if not is_folder and not os.path.exists(there):
            os.close(os.open(there, os.O_CREAT | os.O_WRONLY))
        _mount(path, there, None, MS_BIND | MS_REC)
        _lock(there, ATTR_RDONLY | ATTR_NOSUID | (0 if path in DEVICES else ATTR_NODEV))
    os.chdir(STAGE)
    # The old root ends up on top of the new one, and is taken off.
    call("syscall", PIVOT_ROOT[machine], b".", b".")
    call("umount2", b".", MNT_DETACH)
    _lock("/", ATTR_RDONLY | ATTR_NOSUID, flags=0)
    os.chdir("/tmp")


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    call("mount", *encoded, ctypes.c_ulong(flags), data.encode())


def _lock(path: str, attributes: int, flags: int = AT_RECURSIVE) -> None:
    wanted = struct.pack("=QQQQ", attributes, 0, 0, 0)
    size = ctypes.c_size_t(len(wanted))
    call("syscall", MOUNT_SETATTR, AT_FDCWD, os.fsencode(path), flags, wanted, size)


def restrict_files(readable: list[str]) -> None:
    """Let this process and its children read `readable` directories, write to the null device, and
    open nothing else, whoever they run as. Raises OSError: the kernel has no Landlock.
    """
    if os.geteuid() == 0 and _nobody_may_read(readable):
        become_nobody()
    drop_capabilities()
    version = call("syscall", CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    execute, write, read, list_folder = 1, 2, 4, 8
    every = (1 << (13 + (version >= 2) + (version >= 3))) - 1
    handled = [every | (1 << 15 if version >= 5 else 0)]
    # TCP from version 4 on; signals and abstract sockets from 6 on.
    handled += [3] * (version >= 4) + [3] * (version >= 6)
    ruleset = struct.pack(f"={len(handled)}Q", *handled)
    fd = call("syscall", CREATE_RULESET, ruleset, ctypes.c_size_t(len(ruleset)), 0)
    for path in (*readable, *DEVICES):
        if not os.path.exists(path):
            continue
        rights = execute | read | list_folder if os.path.isdir(path) else read
        place = os.open(path, os.O_PATH)
        rights |= write if path == "/dev/null" else 0
        call("syscall", ADD_RULE, fd, 1, struct.pack("=Qi", rights, place), 0)
        os.close(place)
    call("syscall", RESTRICT_SELF, fd, 0)
    os.close(fd)
    os.chdir("/usr")


def _nobody_may_read(folders: list[str]) -> bool:
    """Whether an interpreter there can be used by whoever is not root."""
    try:
        os.seteuid(NOBODY)
    except OSError:
        return False
    fine = all(os.access(path, os.R_OK | os.X_OK, effective_ids=True) for path in folders)
    os.seteuid(0)
    return fine


def become_nobody() -> None:
    """Give up being root, where there is a nobody to become."""
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError:
        return  # Only root is known here: the capabilities still go.


def drop_capabilities() -> None:
    """Of this process, for good: nothing that it may do comes from being privileged."""
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header = struct.pack("=Ii", 0x20080522, 0)
    call("capset", header, struct.pack("=6I", *(0,) * 6))


def limit(limits: Mapping[str, int]) -> None:
    """What this process may use: `memory` bytes, `cpu` seconds, `file` bytes in each file."""
    cpu, memory, file = limits["cpu"], limits["memory"], limits["file"]
    for kind, soft, hard in (
        (resource.RLIMIT_AS, memory, memory),
        # The first second too many can be caught, the next one not.
        (resource.RLIMIT_CPU, cpu, cpu + 1),
        (resource.RLIMIT_FSIZE, file, file),
        (resource.RLIMIT_NOFILE, 64, 64),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_MEMLOCK, 0, 0),
        (resource.RLIMIT_MSGQUEUE if hasattr(resource, "RLIMIT_MSGQUEUE") else None, 0, 0),
    ):
        if kind is not None:
            resource.setrlimit(kind, (soft, hard))
