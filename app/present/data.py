"""Datasets and models in words."""

from __future__ import annotations

from app.present.figures import count, plural, size
from app.present.terms import Step, genome, row
from jobs.names import Modality
from jobs.views import DatasetView, ModelView


def dataset_line(data: DatasetView) -> str:
    """8,412 cells × 36,601 genes · human (hg38)."""
    if data.cells is None or data.modality is None:
        return data.origin
    rows = plural(data.features, row(data.modality)) if data.features is not None else ""
    parts = [" × ".join(p for p in (plural(data.cells, "cell"), rows) if p)]
    return " · ".join(parts + ([genome(data.genome)] if data.genome else []))


def dataset_notes(data: DatasetView) -> list[str]:
    """What intake had to say, but for what is as it should be."""
    return [str(note) for note in data.summary.get("notes", ()) if note != USUAL]


USUAL = "Counts were read from X."


def counts_lines(data: DatasetView) -> list[str]:
    """Where the raw counts were found, in a word for who keeps log-normalised values in X; then what else was said."""
    summary = data.summary
    origin, depth = str(summary.get("counts_from", "")), (summary.get("depth") or {}).get("50")
    said = []
    if summary.get("values"):
        return dataset_notes(data)
    if origin:
        elsewhere = "" if origin in ("X", "matrix") else "; what X holds is not used"
        a_cell = f", about {count(round(depth))} a cell" if isinstance(depth, int | float) else ""
        said.append(f"Raw counts were found in {origin}{elsewhere}{a_cell}.")
    return [
        *said,
        *(note for note in dataset_notes(data) if not note.startswith("Counts were read from") or "not used" in note),
    ]


_IMPORTS = {
    "downloading": "Fetching the file",
    "checking": "Looking inside before anything is loaded",
    "copying": "Writing a clean copy",
}


def card_text(card: str) -> str:
    """A model's card below the page's own headings: its title is the page's to say, the others go two levels down."""
    lines = card.splitlines()
    if lines and lines[0].startswith("# "):
        lines = lines[1:]
    return "\n".join(f"##{line}" if line.startswith("#") else line for line in lines).strip()


def import_step(data: DatasetView) -> Step:
    label = _IMPORTS.get(data.stage, data.stage.capitalize() or "Starting")
    share = min(data.done / data.total, 1.0) if data.total else 0.0
    detail = ""
    if data.total:
        words = (
            (size(data.done), size(data.total))
            if data.stage == "downloading"
            else (count(data.done), count(data.total))
        )
        detail = f"{words[0]} of {words[1]}"
    return Step(label, share, detail)


def readable_again(data: DatasetView) -> bool:
    """Whether its address alone brings it in again: not an upload, nor a link whose permission is not kept."""
    web = data.origin.lower().startswith(("https://", "http://"))
    return not data.origin.startswith("upload:") and not (web and "?" in data.origin)


def model_line(model: ModelView) -> str:
    """One line that tells models apart: what it knows, genome, how many genes and peaks."""
    spaces = [plural(n, row(Modality(which))) for which, n in sorted(model.spaces.items(), reverse=True)]
    return " · ".join([f"Knows: {model.tissue}", genome(model.genome), *spaces])
