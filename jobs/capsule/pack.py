"""A capsule as a zip: the same content gives the same bytes, and a zip that somebody else made is read with care."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jobs.capsule.model import BadCapsule, Capsule
from storage.zips import member

CAPSULE, REPORT, README, SUMS = "capsule.json", "report.json", "README.md", "SHA256SUMS"
MEMBERS = (CAPSULE, REPORT, README)
MOST_BYTES = 256 * 2**20  # of one member, unpacked  # ours
MOST_FILE = 512 * 2**20  # of the zip  # ours
AGAIN = "Get the capsule anew from where it was made."


def packed(capsule: Capsule, report: Mapping[str, Any] | None, readme: str) -> bytes:
    """The zip. Nothing in it depends on when or where it is packed."""
    members = {README: readme.encode()}
    if report is not None:
        members[REPORT] = text_of(report)
        capsule = capsule.model_copy(update={"report": hashlib.sha256(members[REPORT]).hexdigest()})
    members[CAPSULE] = text_of(capsule.model_dump(mode="json"))
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in sorted(members.items())]
    members[SUMS] = ("\n".join(lines) + "\n").encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:  # another zlib would press it into other bytes
        for name in sorted(members):
            file.writestr(member(name), members[name])
    return out.getvalue()


def text_of(document: Any) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def unpacked(path: Path) -> tuple[Capsule, dict[str, Any] | None]:
    """What a capsule says, and its report. Nothing is written to disk.

    Raises BadCapsule for what is no capsule, is damaged, or wants more memory than a capsule needs.
    """
    if not path.is_file():
        raise BadCapsule(f"There is no file {path}.", hint="Check the path.")
    if path.stat().st_size > MOST_FILE:
        raise BadCapsule(f"{path.name} has {path.stat().st_size:,} bytes: no capsule is as large.", hint=AGAIN)
    try:
        with zipfile.ZipFile(path) as file:
            members = _members(file, path.name)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError, RuntimeError) as error:
        raise BadCapsule(f"{path.name} cannot be read as a zip ({error}).", hint=AGAIN) from error
    _require_whole(members, path.name)
    try:
        capsule = Capsule.model_validate(_json(members[CAPSULE], CAPSULE))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(each) for each in first["loc"]) or "it"
        raise BadCapsule(
            f"{CAPSULE} is not as this version writes it: {where}: {first['msg']}.",
            hint="Check it with the version of CrossView that made it.",
        ) from error
    if REPORT not in members:
        return capsule, None
    if capsule.report != hashlib.sha256(members[REPORT]).hexdigest():
        raise BadCapsule(f"{REPORT} is not the one {CAPSULE} was made with.", hint=AGAIN)
    report = _json(members[REPORT], REPORT)
    if not isinstance(report, dict):
        raise BadCapsule(f"{REPORT} holds no report.", hint=AGAIN)
    return capsule, report


def _members(file: zipfile.ZipFile, name: str) -> dict[str, bytes]:
    infos = file.infolist()
    known = {*MEMBERS, SUMS}
    for info in infos:
        if info.filename not in known:
            raise BadCapsule(f"{name} holds {info.filename[:120]!r}, which no capsule does.", hint=AGAIN)
        if info.flag_bits & 1:
            raise BadCapsule(f"{info.filename} in {name} is encrypted.", hint=AGAIN)
    if len({info.filename for info in infos}) != len(infos):
        raise BadCapsule(f"{name} holds a name twice.", hint=AGAIN)
    out = {}
    for info in infos:
        with file.open(info) as member:
            data = member.read(MOST_BYTES + 1)  # what it says of its size is not believed
        if len(data) > MOST_BYTES:
            raise BadCapsule(f"{info.filename} in {name} unpacks to more than {MOST_BYTES:,} bytes.", hint=AGAIN)
        out[info.filename] = data
    return out


def _require_whole(members: Mapping[str, bytes], name: str) -> None:
    missing = [each for each in (CAPSULE, SUMS) if each not in members]
    if missing:
        raise BadCapsule(f"{name} is no capsule: it has no {missing[0]}.", hint="Give a file of `capsule create`.")
    try:
        lines = [line.split("  ", 1) for line in members[SUMS].decode("ascii").splitlines()]
        sums = {each: digest for digest, each in lines}
    except (UnicodeDecodeError, ValueError) as error:
        raise BadCapsule(f"{SUMS} in {name} cannot be read.", hint=AGAIN) from error
    found = {each: hashlib.sha256(data).hexdigest() for each, data in members.items() if each != SUMS}
    changed = sorted(each for each in {*sums, *found} if sums.get(each) != found.get(each))
    if changed:
        raise BadCapsule(
            f"{', '.join(changed)} in {name} was changed since the capsule was made.",
            hint=f"Its SHA-256 is not the one {SUMS} has. {AGAIN}",
        )


def _json(data: bytes, name: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadCapsule(f"{name} is no JSON ({type(error).__name__}).", hint=AGAIN) from error
