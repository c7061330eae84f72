"""What a file in S3 or on the web is, by its header: looked at where it lies, nothing brought in."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from engine.errors import TooLarge
from engine.types import Modality
from jobs import preflight
from jobs.errors import BadSource
from jobs.fetching import require_foreign, s3_profiles, source_name, web_of, without_query
from jobs.settings import Settings
from jobs.views import GlanceView, PreflightView
from storage.sources import is_web

if TYPE_CHECKING:
    from engine.bundle import Manifest
    from engine.checks import Given
    from engine.intake.afar import Glance
    from jobs.models import Models

MOST_BYTES = 1 << 30  # fetched for one look, whole blocks counted  # ours
MOST_SECONDS = 300.0  # ours
AT_ONCE = 2  # looks side by side, each a child process; the others wait  # ours
_turn = threading.BoundedSemaphore(AT_ONCE)
BLOCK_BYTES = 128 << 10  # of one ranged GET: names and pointers lie close together, values are sampled  # ours


@dataclass(frozen=True, eq=False)
class Seen:
    """glance: what the file is. read_bytes, bytes: what was read of it, and what it has."""

    glance: Glance
    name: str
    read_bytes: int
    bytes: int

    @property
    def given(self) -> Given:
        """As the checks take it; cell names were not kept."""
        from engine.checks import Given
        from engine.types import as_names

        return Given(self.glance.summary, self.glance.names, as_names([]))


def is_afar(source: str) -> bool:
    return is_web(source) or source.lower().startswith("s3://")


def look(source: str, settings: Settings, *, modality: Modality | None = None) -> Seen:
    """Reads tables, names and a sample of the values, by ranged GETs, in the isolated child.

    Raises what opening it raises (NoRanges where a server gives whole files only), and what intake raises.
    """
    from engine.intake.afar import glance_in_child
    from engine.intake.limits import Limits
    from storage.ranged import open_ranged
    from storage.s3 import parse_uri

    if not is_afar(source):
        raise BadSource("Only s3:// and https:// addresses are looked at from afar.", hint="Bring the file in.")
    name = source_name(source, settings.fetch) if is_web(source) else parse_uri(source).name
    if not is_web(source):
        require_foreign(source, settings)
    with (
        _turn,
        open_ranged(source, profiles=s3_profiles(settings), web=web_of(settings), block_bytes=BLOCK_BYTES) as remote,
    ):

        def read(start: int, stop: int) -> bytes:
            if remote.fetched > MOST_BYTES:
                raise TooLarge("A look at this file reads too much of it.", hint="Bring the whole file in instead.")
            remote.seek(start)
            return remote.read(stop - start)

        limits = Limits(wall_seconds=MOST_SECONDS)
        glance = glance_in_child(read, remote.size, modality=modality, limits=limits, source=name)
        return Seen(glance, name, remote.fetched, remote.size)


def view(
    source: str, settings: Settings, models: Models, *, model: str | None = None, modality: Modality | None = None
) -> GlanceView:
    """What a page shows before the file is brought in; with a model, what that makes of it. Raises as `look`."""
    folder = models.folder(model) if model is not None else None
    seen = look(source, settings, modality=modality)
    return GlanceView(
        source=without_query(source),
        name=seen.name,
        read_bytes=seen.read_bytes,
        bytes=seen.bytes,
        summary=seen.glance.summary.to_json(),
        model=model,
        preflight=_judged(seen, folder, models.manifest(cast(str, model))) if folder is not None else None,
    )


def _judged(seen: Seen, folder: Path, manifest: Manifest) -> PreflightView:
    from engine import checks
    from engine.bundle import read_space
    from engine.types import Direction

    found = checks.preflight(
        [seen.given],
        spaces={modality: read_space(folder, modality) for modality in Modality},
        directions=[Direction(direction) for direction in manifest.directions],
        latent=manifest.latent,
    )
    return preflight.view(found)
