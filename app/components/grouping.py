"""How cells are put into groups: the two settings that a joint view and an analysis share."""

from __future__ import annotations

from app.components import address


def grouping(*, key: str) -> tuple[int, float]:
    """Groups of k-means (0: as many as labels) and Leiden's resolution, in the address. key: of the first."""
    groups = address.number(
        "Groups by k-means", param=key, usual=0, least=0, most=500,
        help="0: as many as the label has kinds; without a label, as many as Leiden finds.",
    )  # fmt: skip
    resolution = address.number(
        "Resolution of Leiden", param="resolution", usual=1.0, least=0.1, most=20.0, step=0.1,
        help="Higher: more and smaller groups.",
    )  # fmt: skip
    return int(groups), float(resolution)
