"""What the fences around the reading child hold back on this machine: tried, not assumed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from engine.intake.child import child_environment
from engine.intake.limits import Limits
from engine.intake.sandbox import confine, landlock_abi, restrict

LIMITS = Limits(memory_bytes=2 * 10**9, output_bytes=1_000_000)


def protections() -> dict[str, bool]:
    """Each thing a file that took over the reader would try, and whether it is refused here."""
    with tempfile.TemporaryDirectory(prefix="crossview-") as folder:
        done = subprocess.run(
            [sys.executable, "-P", "-s", "-m", "engine.intake.probe", folder],
            env=child_environment(os.environ), stdout=subprocess.PIPE, timeout=60, check=True,
        )  # fmt: skip
    found: dict[str, bool] = json.loads(done.stdout)
    return found


def kernel() -> str:
    """What this kernel offers, in words."""
    abi = landlock_abi()
    return f"Landlock ABI {abi}" if abi else "no Landlock"


def main(folder: Path) -> None:
    """Fence this process in, try everything, and print what was refused as JSON."""
    own, other = folder / "work", folder / "other.txt"
    own.mkdir()
    other.write_text("not yours")
    (folder / "input").write_text("yours")
    restrict(LIMITS)
    confine(read=[folder / "input"], write=[own])
    works(folder)
    print(json.dumps({what: _refused(attempt) for what, attempt in _attempts(folder, other, own).items()}))


def works(folder: Path) -> None:
    """What it is there for must still be possible. Raises OSError."""
    (folder / "input").read_text()
    (folder / "work" / "copy").write_text("clean")
    (folder / "work" / "copy").unlink()


def _attempts(folder: Path, other: Path, own: Path) -> dict[str, Callable[[], object]]:
    def fork() -> None:
        if os.fork() == 0:
            os._exit(0)
        os.wait()

    def connect(kind: int) -> None:
        with socket.socket(socket.AF_INET, kind) as out:
            out.settimeout(1)
            out.connect(("127.0.0.1", 9))

    def fill() -> None:
        with (own / "large").open("wb") as stream:
            stream.write(bytes(LIMITS.output_bytes + 1))
            stream.flush()

    return {
        "read a file elsewhere": other.read_text,
        "read the machine's accounts": Path("/etc/passwd").read_text,
        "read a folder elsewhere": lambda: os.listdir(folder),
        "write to its own input": lambda: (folder / "input").write_text("x"),
        "write elsewhere": lambda: (folder / "new").write_text("x"),
        "change another file's rights": lambda: other.chmod(0o600),
        "link to another file": lambda: (own / "link").symlink_to(other),
        "connect (TCP)": lambda: connect(socket.SOCK_STREAM),
        "connect (UDP)": lambda: connect(socket.SOCK_DGRAM),
        "open a local socket": lambda: socket.socket(socket.AF_UNIX).close(),
        "start a process": fork,
        "run a program": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "signal another process": lambda: os.kill(os.getppid(), 0),
        "write more than its limit": fill,
        "hold more memory than its limit": lambda: bytearray(LIMITS.memory_bytes),
    }


def _refused(attempt: Callable[[], object]) -> bool:
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        attempt()
    except ConnectionError:
        return False  # it got as far as the other side
    except (OSError, MemoryError):
        return True
    return False


if __name__ == "__main__":
    main(Path(sys.argv[1]))
