"""Archives of a 10x folder (.zip, .tar, .tar.gz): every member looked at, only the three known files unpacked."""

from __future__ import annotations

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from engine.errors import CorruptMatrix, NotHDF5, TooLarge, UnsafeFile
from engine.intake.limits import Limits, human
from engine.intake.mtx import THREE, Parts, gathered, role
from engine.intake.names import clean
from engine.intake.texts import AGAIN, Capped, unpacked

PIECE = 1 << 20
MOST_FOUND = 60  # files of 10x folders in one archive  # ours
PACKED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


@dataclass(frozen=True, slots=True)
class Member:
    """One member as it declares itself. kind: "file", "folder", or what it is instead. stored: bytes in the archive."""

    name: str
    kind: str
    size: int
    stored: int
    of: Any


def unpack(path: Path, into: Path, limits: Limits, *, called: str, packing: str) -> Parts:
    """The three files of the one 10x folder in an archive, unpacked into `into`. packing: "zip" or "tar".

    Raises UnsafeFile for links, devices and names that lead elsewhere, TooLarge, CorruptMatrix, NotHDF5.
    """
    found: list[tuple[str, Path]] = []
    try:
        for member, stream in _members(path, limits, called=called, packing=packing):
            if member.kind == "file" and role(member.name.rpartition("/")[2]) is not None:
                if len(found) == MOST_FOUND:
                    raise TooLarge(f"{called} holds more than {MOST_FOUND} files of 10x folders.", hint="Give one.")
                place = into / f"{len(found)}.member"
                _copy(stream(), place, member, limits)
                found.append((member.name, place))
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as error:
        raise CorruptMatrix(f"{called} is truncated or damaged ({str(error)[:120]}).", hint=AGAIN) from error
    if not found:
        kind = "a zip archive" if packing == "zip" else "a tar archive"
        raise NotHDF5(
            f"{called} is {kind} without a 10x matrix.",
            hint=f"Unpack it first and give the file inside; or pack a 10x folder: {THREE}.",
        )
    return gathered(found, called=called)


def _members(path: Path, limits: Limits, *, called: str, packing: str) -> Iterator[tuple[Member, Any]]:
    """Every member, judged, with the way to open it while it is its turn."""
    declared = 0
    walk = _zipped if packing == "zip" else _tarred
    for number, (member, stream) in enumerate(walk(path, limits, called)):
        if number >= limits.objects:
            raise TooLarge(f"{called} holds more than {limits.objects:,} members.", hint=f"Pack only {THREE}.")
        _judge(member, limits, called=called)
        declared += member.size
        if declared > limits.total_bytes:
            raise TooLarge(
                f"{called} declares {human(declared)}; {human(limits.total_bytes)} are allowed.",
                hint=f"Pack only {THREE}.",
            )
        yield member, stream


def _judge(member: Member, limits: Limits, *, called: str) -> None:
    again = "Pack the folder again, without links: tar --dereference, or zip."
    name = clean(member.name, longest=120)
    parts = member.name.replace("\\", "/").split("/")
    if member.name.startswith(("/", "\\")) or ".." in parts or "\0" in member.name or member.name[1:2] == ":":
        raise UnsafeFile(f"{called} holds {name!r}, a name that leads out of the archive.", hint=again)
    if member.kind not in ("file", "folder"):
        raise UnsafeFile(f"{called} holds {name!r}, which is {member.kind}.", hint=again)
    if member.size > limits.inflation_from and member.size > limits.inflation * max(member.stored, 1):
        raise TooLarge(f"{name} in {called} grows from {human(member.stored)} to {human(member.size)}.", hint=again)


def _zipped(path: Path, limits: Limits, called: str) -> Iterator[tuple[Member, Any]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            kind = "folder" if info.is_dir() else "file"
            if stat.S_ISLNK(mode):
                kind = "a link"
            elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                kind = "a device or pipe"
            elif info.flag_bits & 0x1:
                kind = "encrypted"
            elif info.compress_type not in PACKED:
                kind = "packed in a way other than deflate"
            yield (
                Member(info.filename, kind, info.file_size, info.compress_size, info),
                lambda info=info: archive.open(info),
            )


def _tarred(path: Path, limits: Limits, called: str) -> Iterator[tuple[Member, Any]]:
    # As a stream: what is not wanted is passed over once, and the bytes that come out are counted.
    stored = path.stat().st_size
    with unpacked(path, limits, called=called) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for info in archive:
            kind = "file" if info.isreg() and not info.issparse() else "folder" if info.isdir() else "a device or pipe"
            if info.issym() or info.islnk():
                kind = "a link"
            elif info.issparse():
                kind = "stored sparse"
            yield Member(info.name, kind, info.size, stored, info), lambda info=info: archive.extractfile(info)
            archive.members = []  # type: ignore[attr-defined]  # else every member is remembered


def _copy(stream: IO[bytes], into: Path, member: Member, limits: Limits) -> None:
    """A member's bytes, never more than it declared."""
    with stream, into.open("xb") as out:
        left = member.size
        capped = Capped(stream, stored=member.stored, limits=limits, called=clean(member.name, longest=120))
        while left > 0 and (block := capped.read(min(PIECE, left))):
            out.write(block)
            left -= len(block)
    if left:
        raise CorruptMatrix(f"{clean(member.name, longest=120)} breaks off {human(left)} before its end.", hint=AGAIN)
