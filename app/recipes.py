"""Models that can be trained: in which order they are offered, and their settings between text and widget. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.kinds import as_text
from jobs.spec import Contender
from jobs.views import RecipeView, SettingView

YARDSTICKS = ("mean", "depth", "celltype-mean")  # what every model must beat; never offered first
_FIRST = ("crossview", "ridge", "crossmp", "svd-mlp")
_WHY = {
    "crossview": "Recommended: on two real data sets, cells held out, its predicted expression follows the measured "
    "one best, its accessibility is first or close to it, and nothing needs tuning.",
    "ridge": "Done in seconds, and below 10,000 cells hard to beat: the one to compare with.",
}
_TRUE = frozenset({"1", "true", "yes"})


def ranked(recipes: Sequence[RecipeView]) -> list[RecipeView]:
    """The one to start with first, then the others as they were given, yardsticks last."""
    place = {key: i for i, key in enumerate(_FIRST)}

    def order(recipe: RecipeView) -> tuple[int, bool, int]:
        return place.get(recipe.key, len(_FIRST)), bool(recipe.missing), recipe.key in YARDSTICKS

    usual = [r for r in recipes if r.key not in YARDSTICKS]
    return [*sorted(usual, key=order), *(r for r in recipes if r.key in YARDSTICKS)]


def why_first(recipe: RecipeView) -> str:
    """Why it may be the one to start with, where there is something to say."""
    return _WHY.get(recipe.key, "")


def mend(recipe: RecipeView) -> str:
    """What to do where its extra is not installed."""
    return f"pip install 'crossview[{recipe.missing}]'" if recipe.missing else ""


@dataclass(frozen=True)
class Field:
    """One setting as a widget: its name in words, and its default as a value."""

    name: str
    label: str
    kind: str
    default: int | float | bool | str
    what: str = ""

    @property
    def step(self) -> float:
        """A step of a number's own size, so that 0.00001 is not stepped by hundredths."""
        size = abs(float(self.default)) if isinstance(self.default, int | float) else 0.0
        return float(10.0 ** math.floor(math.log10(size))) if size else 0.1


def field(setting: SettingView) -> Field:
    label = setting.name.replace("_", " ").capitalize()
    return Field(setting.name, label, setting.kind, value(setting.kind, setting.default), setting.what)


def value(kind: str, text: str) -> int | float | bool | str:
    """The text of a setting as a value; text that is no number stays text. Raises ValueError."""
    if kind == "bool":
        return text.strip().lower() in _TRUE
    if kind == "int":
        return int(text)
    return float(text) if kind == "float" else text


def changed(fields: Sequence[Field], values: Mapping[str, object]) -> dict[str, str]:
    """The settings that differ from their defaults, as they travel."""
    return {f.name: as_text(values[f.name]) for f in fields if f.name in values and values[f.name] != f.default}


def said(fields: Sequence[Field], settings: Mapping[str, str]) -> str:
    """hidden 32 (default 16), dropout 0.2 (default 0.1)."""
    default = {f.name: as_text(f.default) for f in fields}
    return ", ".join(f"{name} {text} (default {default.get(name, '–')})" for name, text in settings.items())


@dataclass(frozen=True)
class Variants:
    """Contenders of one model, and what of the text could not be read."""

    contenders: tuple[Contender, ...]
    problems: tuple[str, ...] = ()


def variants(recipe: RecipeView, text: str) -> Variants:
    """One contender a line, such as `wide: hidden=32, dropout=0.2`; an empty text or line is the defaults.

    Problems name the line, so that all can be mended at once.
    """
    found: list[Contender] = []
    problems: list[str] = []
    for number, line in enumerate(text.splitlines() or [""], start=1):
        label, _, rest = line.rpartition(":")
        settings, wrong = _line(recipe, rest)
        problems += [f"Line {number}: {problem}" for problem in wrong]
        contender = Contender(model=recipe.key, settings=settings, label=label.strip() or _label(recipe, settings))
        if contender.settings in [c.settings for c in found]:
            continue
        found.append(contender)
    return Variants(tuple(found), tuple(problems))


def _line(recipe: RecipeView, text: str) -> tuple[dict[str, str], list[str]]:
    known = {s.name: s for s in recipe.settings}
    settings: dict[str, str] = {}
    wrong: list[str] = []
    for part in filter(None, (p.strip() for p in re.split(r"[,;]", text))):
        name, equals, given = (p.strip() for p in part.partition("="))
        if not equals or name not in known:
            wrong.append(f"“{part}” is no setting of {recipe.title} written as name=value.")
            continue
        try:
            value(known[name].kind, given)
        except ValueError:
            wrong.append(f"{name} is “{given}”; it must be {_KIND.get(known[name].kind, 'text')}.")
            continue
        settings[name] = given
    return settings, wrong


_KIND = {"int": "a whole number", "float": "a number", "bool": "true or false"}


def _label(recipe: RecipeView, settings: Mapping[str, str]) -> str:
    return " ".join([recipe.key, *(f"{name}={text}" for name, text in settings.items())]) if settings else ""
