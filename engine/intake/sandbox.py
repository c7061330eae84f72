"""What the reading child may still do: read its input and Python's own files, write into one folder, nothing else.

Three fences of the Linux kernel, each put up where there is one: limits (memory, computing, size of files), Landlock
(files, and TCP from ABI 4 on), and a seccomp filter (no process, no program, no socket). No right is needed for any.
Elsewhere, and on kernels without them, `protections` says what is missing. Sources: Linux' landlock(7), seccomp(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
import sysconfig
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from engine.intake.limits import Limits

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every architecture
NO_NEW_PRIVS, SECCOMP, FILTER = 38, 22, 2  # prctl
PATH_BENEATH = 1
O_PATH = getattr(os, "O_PATH", 0)

# Landlock's rights over files, as bits; the last three came with ABI 2, 3 and 5.
EXECUTE, WRITE, READ, LIST, REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_FILE = 1, 2, 4, 8, 16, 32, 128, 256
REFER, TRUNCATE, IOCTL = 1 << 13, 1 << 14, 1 << 15
OF_FILES = READ | WRITE | EXECUTE | TRUNCATE | IOCTL
ALL = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
BESIDE, PER_BYTE, PER_CHUNK = 400 * 10**6, 16, 3  # bytes for blocks and libraries; of names; of chunks at once
SYSTEM = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/urandom", "/dev/null")

# Refused system calls: fork, vfork, clone (unless a thread), execve, execveat, socket, socketpair, connect, bind,
# ptrace, process_vm_readv and _writev, bpf, userfaultfd, perf_event_open, io_uring_setup, mount, unshare, setns, kexec;
# then what Landlock leaves open: chmod, chown, setxattr, utime and their kin, kill and rt_sigqueueinfo.
REFUSED = {
    "x86_64": (
        *(57, 58, 59, 322, 41, 53, 42, 49, 101, 310, 311, 321, 323, 298, 425, 165, 272, 308, 246),
        *(90, 91, 268, 452, 92, 93, 94, 260, 188, 189, 190, 132, 235, 261, 280, 62, 129),
    ),
    "aarch64": (
        *(221, 281, 198, 199, 203, 200, 117, 270, 271, 280, 282, 241, 425, 40, 97, 268, 104),
        *(52, 53, 452, 54, 55, 5, 6, 7, 88, 129, 138),
    ),
}
CLONE = {"x86_64": 56, "aarch64": 220}
CLONE3, THREAD = 435, 0x10000
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000


def restrict(limits: Limits) -> list[str]:
    """Bound memory, computing, files and processes of this process; returns what could not be bounded."""
    import resource

    wanted = {
        "core dumps": (resource.RLIMIT_CORE, 0),
        "computing": (resource.RLIMIT_CPU, limits.cpu_seconds + 1),  # where it ends by force; before, by SIGXCPU
        "file size": (resource.RLIMIT_FSIZE, limits.output_bytes),
        "memory": (resource.RLIMIT_AS, limits.memory_bytes),
        "open files": (resource.RLIMIT_NOFILE, 256),
    }
    failed = []
    for what, (which, value) in wanted.items():
        hard = resource.getrlimit(which)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(which, (bound, bound))
        except (ValueError, OSError) as error:  # macOS does not bound address space
            failed.append(f"limit of {what} not set: {error}")
    _allow_cpu(limits.step_cpu_seconds)
    return failed


def allow_steps(limits: Limits) -> None:
    """From now on computing is bounded step by step: damaged files send HDF5 in circles inside one call.

    Every second of computing a signal asks Python for more; inside such a call Python does not hear it.
    """
    import signal

    signal.signal(signal.SIGPROF, lambda *_: _allow_cpu(limits.step_cpu_seconds))
    _allow_cpu(limits.step_cpu_seconds)
    signal.setitimer(signal.ITIMER_PROF, 1.0, 1.0)


def end_steps() -> None:
    """No more asking: Python forgets its handlers before it ends, and the next signal would kill it."""
    import signal

    signal.setitimer(signal.ITIMER_PROF, 0.0)


def open_pages() -> IO[bytes] | None:
    """Where the kernel says how much this process holds; opened before /proc is out of reach. None elsewhere."""
    try:
        return open("/proc/self/statm", "rb", buffering=0)
    except OSError:
        return None


def open_status() -> IO[bytes] | None:
    """Where the kernel says the most this process held; likewise."""
    try:
        return open("/proc/self/status", "rb", buffering=0)
    except OSError:
        return None


def most_held(status: IO[bytes] | None) -> int:
    """Bytes, since this program began; 0 where not known. What its parent held does not count, as in rusage it may."""
    text = os.pread(status.fileno(), 1 << 16, 0) if status is not None else b""
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(b"VmHWM:")), 0)


def allow_memory(limits: Limits, pages: IO[bytes] | None, *, file_bytes: int, chunk_bytes: int = 0) -> None:
    """Bound the address space of this process by what such a file can need.

    A small file that claims a long text makes HDF5 reserve it all. pages: from `open_pages`. chunk_bytes: of the
    largest chunk unpacked.
    """
    import resource

    allowed = limits.memory_bytes
    if pages is not None:
        held = int(os.pread(pages.fileno(), 100, 0).split()[0]) * resource.getpagesize()
        allowed = min(allowed, held + file_bytes * PER_BYTE + chunk_bytes * PER_CHUNK + BESIDE)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    with suppress(ValueError, OSError):
        resource.setrlimit(
            resource.RLIMIT_AS, (allowed if hard == resource.RLIM_INFINITY else min(allowed, hard), hard)
        )


def _allow_cpu(seconds: int) -> None:
    """From now on SIGXCPU ends this process after so many seconds of computing, counted from here."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    wanted = seconds + int(used.ru_utime + used.ru_stime)
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard - 1), hard))


def confine(*, read: Iterable[Path], write: Iterable[Path]) -> list[str]:
    """Fence this process in for good; returns what this kernel could not do.

    read: files and folders it may read, beside Python's own and the system's libraries. write: folders in which it may
    make, read and remove files. What is open already stays open; links are not followed.
    """
    if not sys.platform.startswith("linux"):
        return ["Landlock and seccomp are not there: this is not Linux."]
    failed = []
    if _libc().prctl(NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return [f"no_new_privs was refused ({_said()})."]
    fences: dict[str, Callable[[], None]] = {
        "Landlock": lambda: _landlock([*read], [*write]),
        "seccomp": _seccomp,
    }
    for what, fence in fences.items():
        try:
            fence()
        except OSError as error:
            failed.append(f"{what} is not in force: {error.strerror}.")
    return failed


def landlock_abi() -> int:
    """The kernel's version of Landlock; 0 where there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, int(_libc().syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1))))


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _said() -> str:
    return os.strerror(ctypes.get_errno())


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), _said())
    return result


def _landlock(read: Sequence[Path], write: Sequence[Path]) -> None:
    abi = landlock_abi()
    if not abi:
        raise OSError(errno.ENOSYS, "this kernel has no Landlock")
    libc, handled = _libc(), ALL[min(abi, 5)]
    # struct landlock_ruleset_attr: files (ABI 1), TCP bind and connect (4), abstract sockets and signals (6).
    words = (handled, *((3,) if abi >= 4 else ()), *((3,) if abi >= 6 else ()))
    attributes = struct.pack(f"={len(words)}Q", *words)
    rules = _checked(libc.syscall(CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0)))
    make = READ | WRITE | LIST | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_FILE | TRUNCATE
    wanted = [(path, READ | LIST) for path in (*python_files(), *map(Path, SYSTEM), *read)]
    wanted += [(Path("/dev/null"), READ | WRITE), *((path, make) for path in write)]
    try:
        for path, rights in wanted:
            _allow(libc, rules, path, rights & handled)
        _checked(libc.syscall(RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint(0)))
    finally:
        os.close(rules)


def _allow(libc: Any, rules: int, path: Path, rights: int) -> None:
    try:
        opened = os.open(path, O_PATH | os.O_CLOEXEC | (0 if str(path) in SYSTEM else os.O_NOFOLLOW))
    except OSError:  # what is not there needs no right
        return
    try:
        if not os.path.isdir(f"/proc/self/fd/{opened}") and not path.is_dir():
            rights &= OF_FILES
        rule = struct.pack("=Qi", rights, opened)
        _checked(libc.syscall(ADD_RULE, ctypes.c_int(rules), PATH_BENEATH, rule, ctypes.c_uint(0)))
    finally:
        os.close(opened)


def python_files() -> list[Path]:
    """The standard library, the packages loaded from, and this engine: what an import may still read."""
    ours = Path(__file__).resolve().parents[1]
    found = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    for folder in map(Path, sys.path):
        if folder.name in ("site-packages", "dist-packages", "lib-dynload") and folder.is_dir():
            found.add(folder.resolve())
    return [ours, *sorted(found)]


def _seccomp() -> None:
    machine = platform.machine()
    if machine not in REFUSED:
        raise OSError(errno.ENOSYS, f"no list of system calls for {machine}")
    program = _program(machine)
    kept = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(kept))
    _checked(_libc().prctl(SECCOMP, FILTER, header, 0, 0))


def _program(machine: str) -> bytes:
    """Berkeley packet filter: another architecture ends the process, the calls refused give EPERM, others pass."""
    load, equal, above, bits, give = 0x20, 0x15, 0x35, 0x45, 0x06

    def line(code: int, yes: int, no: int, value: int) -> bytes:
        return struct.pack("=HBBI", code, yes, no, value)

    lines = [
        line(load, 0, 0, 4),  # the architecture
        line(equal, 1, 0, ARCHITECTURE[machine]),
        line(give, 0, 0, KILL),
        line(load, 0, 0, 0),  # the number of the call
        line(above, 0, 1, 0x40000000),  # x32, which has numbers of its own
        line(give, 0, 0, ERRNO | errno.EPERM),
        line(equal, 0, 1, CLONE3),  # its flags lie in memory: libraries fall back on clone
        line(give, 0, 0, ERRNO | errno.ENOSYS),
        line(equal, 0, 4, CLONE[machine]),
        line(load, 0, 0, 16),  # the lower half of the flags
        line(bits, 1, 0, THREAD),
        line(give, 0, 0, ERRNO | errno.EPERM),
        line(give, 0, 0, ALLOW),
    ]
    for number in REFUSED[machine]:
        lines += [line(equal, 0, 1, number), line(give, 0, 0, ERRNO | errno.EPERM)]
    return b"".join([*lines, line(give, 0, 0, ALLOW)])
