"""Small valid 10x folders, archives of them and fragment files, changed at random: a word, a line, a member, a byte."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.intake.corpus.kit import canary_of
from engine.intake.corpus.packs import Files, files, good_fragments, write_folder
from tests.chaos.mutate import BYTES, NUMBERS, TEXTS, change_bytes

Rng = np.random.Generator
WORDS = (
    *(str(n) for n in NUMBERS),
    *TEXTS,
    "-1",
    "1e300",
    "nan",
    "inf",
    "0x10",
    "1.5",
    "chrUn",
    "chr1:1-2",
    "%%",
    "\t",
)
NAMES = (
    "../../x",
    "/etc/x",
    "C:\\x",
    "matrix.mtx",
    "barcodes.tsv",
    "features.tsv.gz",
    "a/" * 40 + "x",
    "\x1b[31m",
    "x\n",
)
MOST_BYTES = 1 << 22  # of lines that are repeated
KINDS = ("folder", "folder-gz", "tar", "tar-gz", "zip", "fragments", "fragments-gz")


def mutated_pack(folder: Path, rng: Rng) -> tuple[Path, str]:
    """One changed source in an empty folder: its path, and what was done, in words. The same rng makes the same."""
    kind = str(rng.choice(KINDS))
    texts = {"fragments.tsv": good_fragments()} if kind.startswith("fragments") else files()
    done = [kind]
    if rng.random() < 0.65:
        for _ in range(int(rng.integers(1, 4))):
            name = str(rng.choice(sorted(texts)))
            how = EDITS[int(rng.integers(len(EDITS)))]
            texts[name] = how(texts[name], rng)
            done.append(f"{how.__name__}({name})")
    if rng.random() < 0.25 and not kind.startswith("fragments"):
        done.append(_names(texts, rng))
    packed = kind == "folder-gz" or rng.random() < 0.3
    if packed and not kind.startswith("fragments"):
        texts = {f"{name}.gz": gzip.compress(text) for name, text in texts.items()}
    path = _written(kind, texts, folder, rng, done)
    if len(done) == 1 or rng.random() < 0.35:
        one = path if path.is_file() else path / str(rng.choice(sorted(os.listdir(path))))
        if one.is_file() and not one.is_symlink():
            change_bytes(one, rng, done)
    return path, " ".join(done)


def _written(kind: str, texts: Files, folder: Path, rng: Rng, done: list[str]) -> Path:
    """Packed as this kind is; now and then with a member that is no file."""
    if kind.startswith("fragments"):
        (text,) = texts.values()
        path = folder / ("fragments.tsv.gz" if kind.endswith("gz") else "fragments.tsv")
        path.write_bytes(gzip.compress(text) if kind.endswith("gz") else text)
        return path
    odd = str(rng.choice(sorted(texts))) if rng.random() < 0.15 else ""
    if odd:
        done.append(f"odd({odd})")
    if kind.startswith("folder"):
        path = write_folder({name.replace("/", "_")[:200]: text for name, text in texts.items()}, folder / "m")
        if odd and (path / odd).is_file():
            (path / odd).unlink()
            (path / odd).symlink_to(canary_of(folder)) if rng.random() < 0.5 else os.mkfifo(path / odd)
        return path
    path = folder / {"tar": "a.tar", "tar-gz": "a.tar.gz", "zip": "a.zip"}[kind]
    (_zip if kind == "zip" else _tar)(path, texts, odd, rng)
    return path


def _tar(path: Path, texts: Files, odd: str, rng: Rng) -> None:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, text in texts.items():
            info = tarfile.TarInfo(name)
            if name == odd:
                info.type = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)[int(rng.integers(4))]
                info.linkname = str(canary_of(path.parent))
            info.size = len(text) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(text))


def _zip(path: Path, texts: Files, odd: str, rng: Rng) -> None:
    how = zipfile.ZIP_DEFLATED if rng.random() < 0.7 else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, text in texts.items():
            info = zipfile.ZipInfo(name.replace("\x00", ""))
            info.external_attr = (stat.S_IFLNK | 0o777) << 16 if name == odd else 0
            archive.writestr(info, str(canary_of(path.parent)).encode() if name == odd else text)


def _names(texts: Files, rng: Rng) -> str:
    """One file goes, or gets another name, in place."""
    name = str(rng.choice(sorted(texts)))
    text = texts.pop(name)
    if rng.random() < 0.5:
        return f"without({name})"
    other = str(rng.choice(NAMES))
    texts[other] = text
    return f"called({other!a})"


def a_word(text: bytes, rng: Rng) -> bytes:
    lines = text.split(b"\n")
    at = int(rng.integers(len(lines)))
    words = lines[at].replace(b"\t", b" \t ").split(b" ")
    words[int(rng.integers(len(words)))] = str(rng.choice(WORDS)).encode()
    lines[at] = b" ".join(words).replace(b" \t ", b"\t")
    return b"\n".join(lines)


def no_line(text: bytes, rng: Rng) -> bytes:
    lines = text.split(b"\n")
    del lines[int(rng.integers(len(lines)))]
    return b"\n".join(lines)


def lines_again(text: bytes, rng: Rng) -> bytes:
    lines = text.split(b"\n")
    at = int(rng.integers(len(lines)))
    times = min(int(2 ** rng.integers(1, 14)), MOST_BYTES // (len(lines[at]) + 1) + 1)
    return b"\n".join(lines[:at] + lines[at : at + 1] * times + lines[at:])


def other_order(text: bytes, rng: Rng) -> bytes:
    lines = text.split(b"\n")
    return b"\n".join(lines[i] for i in rng.permutation(len(lines)))


def other_ends(text: bytes, rng: Rng) -> bytes:
    return text.replace(b"\n", (b"\r\n", b"\r", b"\n\n", b"\n%\n", b" \n", b"\x00\n")[int(rng.integers(6))])


def other_gaps(text: bytes, rng: Rng) -> bytes:
    return text.replace((b"\t", b" ")[int(rng.integers(2))], (b"  ", b",", b"\t\t", b"", b'"\t')[int(rng.integers(5))])


def long_line(text: bytes, rng: Rng) -> bytes:
    at = int(rng.integers(len(text) + 1))
    return text[:at] + bytes([int(rng.choice([0, 9, 32, 0x41, 0xFF]))]) * int(2 ** rng.integers(4, 22)) + text[at:]


def bytes_of_it(text: bytes, rng: Rng) -> bytes:
    return bytes(BYTES[int(rng.integers(len(BYTES)))](bytearray(text), rng))


EDITS: tuple[Callable[[bytes, Rng], bytes], ...] = (
    a_word, a_word, a_word, no_line, lines_again, other_order, other_ends, other_gaps, long_line, bytes_of_it,
)  # fmt: skip
