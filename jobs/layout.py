"""Where everything lies in the artifact store: one function a kind of object, so that no key is spelled twice.

results/<job>/<attempt>/order.json                 what this attempt must do (written before it is submitted)
results/<job>/<attempt>/events/000042.json         outbox: numbered, immutable, pulled by the control plane
results/<job>/<attempt>/cancel                     the cancel mark
results/<job>/<attempt>/log.txt                    what the attempt's processes said, kept once they have ended
results/<job>/<attempt>/resources/<process>.json    what each process of the attempt took of its machine
results/<job>/<attempt>/pieces/<direction>/<name>    what one task of the attempt leaves for the next
results/<job>/<attempt>/out/<artifact>             outputs; visible once the job row names this attempt SUCCEEDED
results/<job>/parts/<spec digest>/<direction>/…    finished parts, the same bytes whichever attempt wrote them
results/<job>/training/<spec digest>/…             the curve, checkpoints and bundle of a training, of all attempts
datasets/<digest>.h5ad                             canonical copies
bundles/<digest>/…                                 models, as workers read them
models/<id>/…                                      card, report and predictability of a model trained here
"""

from __future__ import annotations

import re


def order(job: str, attempt: int) -> str:
    return f"results/{job}/{attempt}/order.json"


def event(job: str, attempt: int, number: int) -> str:
    return f"results/{job}/{attempt}/events/{number:06d}.json"


def events(job: str, attempt: int) -> str:
    return f"results/{job}/{attempt}/events/"


def number_of(event: str) -> int:
    """The number in the key of an event."""
    return int(event.rpartition("/")[2].removesuffix(".json"))


def cancel_mark(job: str, attempt: int) -> str:
    return f"results/{job}/{attempt}/cancel"


def log(job: str, attempt: int) -> str:
    return f"results/{job}/{attempt}/log.txt"


def resources(job: str, attempt: int) -> str:
    return f"results/{job}/{attempt}/resources/"


def resource(job: str, attempt: int, process: str) -> str:
    return f"results/{job}/{attempt}/resources/{process}.json"


def pieces(job: str, attempt: int) -> str:
    return f"results/{job}/{attempt}/pieces/"


def parts(job: str) -> str:
    return f"results/{job}/parts/"


def piece(job: str, attempt: int, direction: str, name: str) -> str:
    return f"results/{job}/{attempt}/pieces/{direction}/{name}"


def output(job: str, attempt: int, name: str) -> str:
    return f"results/{job}/{attempt}/out/{name}"


def outputs(job: str, attempt: int) -> str:
    return f"results/{job}/{attempt}/out/"


def part(job: str, spec_digest: str, direction: str, start: int, stop: int) -> str:
    return f"results/{job}/parts/{spec_digest[:16]}/{direction}/{start:09d}-{stop:09d}.npz"


def training(job: str, spec_digest: str, name: str) -> str:
    return f"results/{job}/training/{spec_digest[:16]}/{name}"


def model(id: str) -> str:
    return f"models/{id}/"


def job_prefix(job: str) -> str:
    return f"results/{job}/"


def dataset(digest: str) -> str:
    return f"datasets/{digest}.h5ad"


def digest_in(key: str) -> str | None:
    """The SHA-256 that the name of an object says of it, where it does."""
    found = re.fullmatch(r"datasets/([0-9a-f]{64})\.h5ad", key)
    return found[1] if found else None


def bundle(digest: str) -> str:
    return f"bundles/{digest}/"


def download_name(job: str, name: str) -> str:
    """What a result's file is called once it has left the store: its folders are part of the name."""
    return f"{job}-{name.replace('/', '-')}"
