"""What a path or a query may say: told to the OpenAPI document, and checked before any work is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobs.errors import BadRequest
from jobs.names import Direction, Modality

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

WORDS = 4_000  # characters of a value, at most  # ours
LARGEST = 2**53  # that every client can count to


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """kind: of JSON Schema. least, most: of a number. choices: of a word."""

    name: str
    what: str = ""
    kind: str = "string"
    least: int = 0
    most: int = LARGEST
    default: int | str | bool | None = None
    choices: tuple[str, ...] = ()
    required: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        said: dict[str, Any] = {"type": self.kind}
        if self.kind == "integer":
            said |= {"minimum": self.least, "maximum": self.most}
        elif self.choices:
            said["enum"] = list(self.choices)
        elif self.kind == "string":
            said["maxLength"] = WORDS
        return said if self.default is None else {**said, "default": self.default}

    def check(self, text: str) -> None:
        """Raises BadRequest naming the parameter and what it takes."""
        if self.kind == "integer" and not (_is_number(text) and self.least <= int(text) <= self.most):
            raise BadRequest(
                f"{self.name} is {text[:40]!r}.", hint=f"Use a whole number from {self.least} to {self.most}."
            )
        if self.kind == "boolean" and text.lower() not in ("true", "false"):
            raise BadRequest(f"{self.name} is {text[:40]!r}.", hint="Use true or false.")
        if self.choices and text not in self.choices:
            raise BadRequest(f"There is no {self.name} {text[:40]!r}.", hint=f"Use {' or '.join(self.choices)}.")
        if len(text) > WORDS:
            raise BadRequest(f"{self.name} has {len(text):,} characters.", hint=f"Use up to {WORDS:,}.")


def number(name: str, what: str = "", *, least: int = 0, most: int = LARGEST, default: int | None = None) -> Parameter:
    return Parameter(name=name, what=what, kind="integer", least=least, most=most, default=default)


def flag(name: str, what: str = "") -> Parameter:
    return Parameter(name=name, what=what, kind="boolean", default=False)


def limit(default: int, most: int) -> Parameter:
    return number("limit", "rows of a page", least=1, most=most, default=default)


AFTER = Parameter(name="after", what="the cursor of a page, as the Link header of the page before names it")
PAGE = (limit(200, 10_000), AFTER)
QUERY = Parameter(name="query", what="a name or a part of one; of peaks also a region, or a gene near them")
LOGS = (
    number("tail", "lines", least=1, most=100_000, default=200),
    flag("download", "as a file of its own name"),
)
TABLE = (
    Parameter(name="where", what="a JSON object of columns and their values, as text"),
    Parameter(name="query", what="a part of any column of text"),
    Parameter(name="sort", what="a column"),
    flag("descending"),
    number("offset", "rows left out before", default=0),
)
IN_PATHS = {
    "direction": Parameter(name="direction", choices=tuple(each.value for each in Direction), required=True),
    "modality": Parameter(name="modality", choices=tuple(each.value for each in Modality), required=True),
}


def declared(names: Sequence[str | Parameter]) -> dict[str, Parameter]:
    """By name; a bare name is text."""
    found = (Parameter(name=each) if isinstance(each, str) else each for each in names)
    return {each.name: each for each in found}


def in_path(name: str) -> Parameter:
    return IN_PATHS.get(name, Parameter(name=name, required=True))


def check(known: Mapping[str, Parameter], query: QueryParams, path: Mapping[str, Any]) -> None:
    """Nothing unknown, nothing twice, nothing missing, everything of its kind. Raises BadRequest."""
    given = query.multi_items()
    for name, text in given:
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise BadRequest(f"There is no parameter {name[:40]!r} here.", hint=f"There are: {names}.")
        known[name].check(text)
    if len(given) != len({name for name, _ in given}):
        raise BadRequest("A parameter is given twice.", hint="Give each once.")
    for name, parameter in known.items():
        if parameter.required and name not in query:
            raise BadRequest(f"{name} is missing.", hint=f"Add ?{name}=….")
    for name, value in path.items():
        in_path(name).check(str(value))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 16
