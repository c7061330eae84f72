"""What `crossview inspect` prints: the file, each model's verdict, and how to mend what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.checks import Given


def against_all(given: Given) -> list[dict[str, Any]]:
    """What each model of the catalog makes of these cells: verdict, share of its features found, first problem."""
    from jobs.catalog import load_catalog

    found = []
    for entry in load_catalog().values():
        plan = preflight_of(given, entry.folder)
        coverage = plan["coverage"].get(given.modality.value)
        problem = next((issue for issue in plan["issues"] if issue["level"] == "problem"), None)
        found.append(
            {"id": entry.id, "verdict": plan["verdict"], "share": coverage["share"] if coverage else 0.0,
             "directions": plan["directions"], "problem": problem}
        )  # fmt: skip
    return found


def preflight_of(given: Given, folder: Path) -> dict[str, Any]:
    """What the model in this folder makes of one input."""
    from engine.bundle import read_manifest, read_space
    from engine.checks import preflight
    from engine.types import Modality

    manifest = read_manifest(folder)
    found = preflight(
        [given],
        spaces={m: read_space(folder, m) for m in Modality},
        directions=manifest.directions_,
        latent=manifest.latent,
    )
    return found.to_json()


def lines(found: dict[str, Any]) -> list[str]:
    """The document of `inspect` for people."""
    s = found["summary"]
    unit = "genes" if s["modality"] == "rna" else "peaks"
    said = [
        f"{s['source']}: {s['cells']:,} cells × {s['features']:,} {unit}, raw counts from {s['counts_from']}",
        f"  median depth {s['depth']['50']:,.0f}, {s['detected']['50']:,.0f} {unit} a cell; "
        f"genome {s['genome'] or 'not recognised'}",
        f"  {found['names']}",
        *(f"  labels: {name} ({len(kinds)})" for name, kinds in s["labels"].items()),
        *(f"  note: {note}" for note in s["notes"]),
    ]
    if "read_bytes" in found:
        said.append(f"  read {found['read_bytes'] / 1e6:,.1f} of {found['bytes'] / 1e6:,.1f} MB")
    for one in found.get("models", ()):
        problem = f"; {one['problem']['message']}" if one["problem"] else ""
        said.append(f"With {one['id']}: {one['verdict']}, {one['share']:.0%} of its features are there{problem}")
    if "preflight" not in found:
        return said
    p = found["preflight"]
    said.append(f"With {found['model']}: {p['verdict']}")
    said += [f"  can be translated {direction}" for direction in p["directions"]]
    for name, share in p["coverage"].items():
        said.append(f"  {share['found']:,} of the model's {share['of']:,} {name.upper()} features are there")
    if (cost := p["cost"]) is not None:
        low, high = cost["seconds"]
        said.append(f"  would take about {low:,.0f} to {high:,.0f} s and {cost['memory_bytes'] / 1e9:.1f} GB of memory")
    for issue in p["issues"]:
        said.append(f"  {issue['level']}: {issue['message']}")
        if issue["hint"]:
            said.append(f"    → {issue['hint']}")
    return said
