"""The system calls that a program may make: those of Python code that computes, and no others.

A list of what is allowed, since a list of what is forbidden is out of date with every kernel. It
has no way to make a socket, a process, a namespace or a mount, to trace or signal another process,
to run another executable, or to change who may read a file. Older calls that are not in it fail
with EPERM; those that came later than the list with ENOSYS, on which C libraries fall back.

Numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of Linux.
Filter: Documentation/userspace-api/seccomp_filter.rst.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Sequence

ALLOWED = """
read:0:63 write:1:64 readv:19:65 writev:20:66 pread64:17:67 pwrite64:18:68 preadv:295:69
pwritev:296:70 close:3:57 close_range:436:436 lseek:8:62 fstat:5:80 newfstatat:262:79 stat:4:-
lstat:6:- statx:332:291 access:21:- faccessat:269:48 faccessat2:439:439 open:2:- openat:257:56
readlink:89:- readlinkat:267:78 getcwd:79:17 chdir:80:49 fchdir:81:50 getdents:78:-
getdents64:217:61 mkdir:83:- mkdirat:258:34 rmdir:84:- unlink:87:- unlinkat:263:35 rename:82:-
renameat:264:38 renameat2:316:276 symlink:88:- symlinkat:266:36 ftruncate:77:46 truncate:76:45
fsync:74:82 fdatasync:75:83 fallocate:285:47 fadvise64:221:223 dup:32:23 dup2:33:- dup3:292:24
pipe:22:- pipe2:293:59 fcntl:72:25 ioctl:16:29 flock:73:32 sendfile:40:71 statfs:137:43
copy_file_range:326:285 fstatfs:138:44 umask:95:166

mmap:9:222 munmap:11:215 mprotect:10:226 mremap:25:216 madvise:28:233 brk:12:214 msync:26:227
mincore:27:232 membarrier:324:283

futex:202:98 set_robust_list:273:99 get_robust_list:274:100 rseq:334:293 set_tid_address:218:96
sched_yield:24:124 sched_getaffinity:204:123 getcpu:309:168 exit:60:93 exit_group:231:94
restart_syscall:219:128 arch_prctl:158:- clone:56:220 tgkill:234:131 prlimit64:302:261

gettid:186:178 getpid:39:172 getppid:110:173 getuid:102:174 geteuid:107:175 getgid:104:176
getegid:108:177 getgroups:115:158 getresuid:118:148 getresgid:120:150 getpgrp:111:-
getpgid:121:155 getsid:124:156 uname:63:160 sysinfo:99:179 getrlimit:97:163 getrusage:98:165
times:100:153

clock_gettime:228:113 clock_getres:229:114 clock_nanosleep:230:115 nanosleep:35:101
gettimeofday:96:169 time:201:- alarm:37:- setitimer:38:103 getitimer:36:102 pause:34:-

rt_sigaction:13:134 rt_sigprocmask:14:135 rt_sigreturn:15:139 rt_sigpending:127:136
rt_sigtimedwait:128:137 rt_sigsuspend:130:133 sigaltstack:131:132 wait4:61:260 waitid:247:95

select:23:- pselect6:270:72 poll:7:- ppoll:271:73 epoll_create:213:- epoll_create1:291:20
epoll_ctl:233:21 epoll_wait:232:- epoll_pwait:281:22 eventfd2:290:19 socketpair:53:199
sendto:44:206 recvfrom:45:207 shutdown:48:210 getsockopt:55:209 getsockname:51:204
getpeername:52:205 getrandom:318:278
"""
"""`name:number on x86-64:number on 64-bit ARM`; `-`: not there."""

MACHINES = {"x86_64": (1, 0xC000003E), "aarch64": (2, 0xC00000B7)}
"""The machine's column above, and its AUDIT_ARCH."""

FIRST_NEW = 424
"""From here on numbers are the same on all machines, and calls younger than Linux 5.0."""
CLONE_THREAD = 0x10000
F_SETOWN, F_SETSIG, F_SETOWN_EX = 8, 10, 15
TIOCSTI, FIOSETOWN, SIOCSPGRP = 0x5412, 0x8901, 0x8902
AF_UNIX, SOCK_STREAM = 1, 1

LOAD, AND, EQUAL, AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2
ALL_BITS = 0xFFFFFFFF

Step = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand."""


class Unknown(Exception):
    """This machine's system calls are not in the list."""


def conditions() -> dict[str, tuple[tuple[int, int, tuple[int, ...], bool], ...]]:
    """Calls that are allowed with some arguments only: (which, its bits that count, values, whether
    these are the allowed ones or the forbidden ones), all of which must hold.
    """
    return {
        # Threads, no processes.
        "clone": ((0, CLONE_THREAD, (CLONE_THREAD,), True),),
        # Signals and limits of this process alone.
        "tgkill": ((0, ALL_BITS, (os.getpid(),), True),),
        "prlimit64": ((0, ALL_BITS, (0,), True),),
        "fcntl": ((1, ALL_BITS, (F_SETOWN, F_SETSIG, F_SETOWN_EX), False),),
        "ioctl": ((1, ALL_BITS, (TIOCSTI, FIOSETOWN, SIOCSPGRP), False),),
        # What event loops wake themselves with; it reaches nobody else.
        "socketpair": ((0, ALL_BITS, (AF_UNIX,), True), (1, 0xF, (SOCK_STREAM,), True)),
    }


def table(machine: str) -> dict[str, int]:
    """Numbers of the allowed calls by name. Raises Unknown."""
    if machine not in MACHINES:
        raise Unknown(f"no list of system calls for {machine}; there is one for {list(MACHINES)}")
    column, _ = MACHINES[machine]
    rows = [entry.split(":") for entry in ALLOWED.split()]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


def filter_steps(machine: str) -> list[Step]:
    """The filter, as a classic BPF program over `struct seccomp_data`."""
    numbers, special = table(machine), conditions()
    audit_arch = MACHINES[machine][1]
    steps: list[Step] = [
        (LOAD, 0, 0, 4),
        # Another architecture has other numbers.
        (EQUAL, 1, 0, audit_arch),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, 0),
    ]
    for name, checks in special.items():
        block = [step for check in checks for step in _check(*check)]
        block.append((RETURN, 0, 0, ALLOW))
        steps += [(EQUAL, 0, len(block), numbers[name]), *block]
    plain = [number for name, number in numbers.items() if name not in special]
    # x32 calls on x86-64 are numbered from 2^30 on: they count as new ones.
    steps += [(EQUAL, len(plain) - i + 2, 0, number) for i, number in enumerate(plain)]
    steps += [
        (AT_LEAST, 0, 1, FIRST_NEW),
        (RETURN, 0, 0, FAIL | errno.ENOSYS),
        (RETURN, 0, 0, FAIL | errno.EPERM),
        (RETURN, 0, 0, ALLOW),
    ]
    return steps


def _check(which: int, bits: int, values: Sequence[int], allowed: bool) -> list[Step]:
    """Steps that go on behind their end if the argument is fine, and fail the call if not."""
    steps: list[Step] = [(LOAD, 0, 0, 16 + 8 * which), (AND, 0, 0, bits)]
    last = len(values) - 1
    for i, value in enumerate(values):
        to_failure, past_failure = last - i, last - i + 1
        steps.append((EQUAL, past_failure if allowed else to_failure, 0, value))
    if not allowed:
        # None of them: over the failure.
        code, _, _, operand = steps[-1]
        steps[-1] = (code, 0, 1, operand)
    steps.append((RETURN, 0, 0, FAIL | errno.EPERM))
    return steps


def apply_filter() -> None:
    """Let this process, for good, make no other calls. Raises OSError, Unknown."""
    steps = filter_steps(platform.machine())
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))

    class Program(ctypes.Structure):
        _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    program = Program(len(steps), ctypes.cast(buffer, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*arguments):
            number = ctypes.get_errno()
            raise OSError(number, f"prctl: {os.strerror(number)}")
