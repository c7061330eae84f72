"""Where sources may be fetched from, as the operator set it: the web's rules and the named S3 profiles."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from engine.errors import BadSetting
from jobs.errors import BadSource
from storage.files import display_name
from storage.guard import PORTS, Network, WebRules
from storage.s3 import S3Profile, S3Uri, parse_uri, profile_for
from storage.sources import is_web

if TYPE_CHECKING:
    from jobs.settings import Settings
    from storage.sources import Fetched, Limits, Progress
    from storage.web import Web

_ENTRIES = {
    "endpoint": str, "region": str, "access_key_id": str, "secret_access_key": str, "buckets": list, "anonymous": bool,
}  # fmt: skip
_AS_IN = 'Write it as in: [lab] endpoint = "https://s3.lab.example", buckets = ["lab-*"].'


def web_rules(*, mode: str | None, allow: str | None, ports: str | None) -> WebRules:
    """What CROSSVIEW_FETCH, CROSSVIEW_FETCH_ALLOW and CROSSVIEW_FETCH_PORTS say. Raises BadSetting."""
    chosen = (mode or "https").strip().lower()
    if chosen not in ("https", "http", "off"):
        raise BadSetting(f"CROSSVIEW_FETCH is {mode!r}.", hint="Use https, http (both), or off.")
    hosts, networks = _allowed(allow or "")
    return WebRules(
        on=chosen != "off", plain_http=chosen == "http", hosts=hosts, networks=networks, ports=_ports(ports or "")
    )


def web_of(settings: Settings) -> Web:
    """A conversation with the web within the operator's rules; for one thread."""
    from storage.web import Web

    return Web(settings.fetch)


def source_name(source: str, rules: WebRules) -> str:
    """What a web address calls its file, fit to be shown. Raises BadUri, FetchRefused, before anything is asked."""
    from storage.drive import parse_link
    from storage.guard import parse_url

    shared = parse_link(source)
    place = parse_url(source if shared is None else shared.url, rules)
    return place.name if shared is None else "Google Drive file"


def file_name(source: str) -> str:
    """What a source calls its file, without what an address asks besides."""
    from storage.drive import parse_link

    if not is_web(source):
        return source.rsplit("/", 1)[-1]
    place = urlsplit(source)
    return "Google Drive file" if parse_link(source) else display_name(unquote(place.path), fallback=place.netloc)


def without_query(source: str) -> str:
    """A web address as it may be kept and shown: a query may hold a permission. Other sources as they are."""
    from storage.drive import parse_link

    if not is_web(source) or "?" not in source or parse_link(source) is not None:
        return source
    return source.partition("?")[0] + "?…"


def fetch_source(
    source: str, into: Path, settings: Settings, *, limits: Limits | None = None, progress: Progress | None = None
) -> Fetched:
    """`storage.sources.fetch` with the operator's profiles and rules."""
    from storage.sources import fetch

    return fetch(source, into, profiles=s3_profiles(settings), web=web_of(settings), limits=limits, progress=progress)


def lies_within(place: str | Path, settings: Settings) -> bool:
    """Whether this is of CrossView's own: in its store, or in its home. place: an `s3://` address, or a real path.

    Where several people work, what lies there is reached by what it is called in the database, whoever it belongs to.
    """
    if isinstance(place, Path):
        plain = urlsplit(settings.store).path if settings.store.startswith("file://") else settings.store
        own = [settings.home, *([] if settings.store_is_remote else [Path(unquote(plain))])]
        return any(place.is_relative_to(each.resolve()) for each in own)
    if not settings.store.lower().startswith("s3://"):
        return False
    store, asked = parse_uri(settings.store, key_required=False), parse_uri(place)
    return asked.bucket == store.bucket and asked.key.startswith(f"{store.key.strip('/')}/".lstrip("/"))


def require_foreign(place: str | Path, settings: Settings) -> None:
    """Raises BadSource."""
    if settings.auth.on and lies_within(place, settings):
        raise BadSource(
            "This lies where CrossView keeps everybody's data; nothing is brought in from there.",
            hint="Name data that are here already as dataset:ID, or give the file from where it came.",
        )


# -- S3 --------------------------------------------------------------------------------------------------------------


def s3_profiles(settings: Settings) -> dict[str, S3Profile]:
    """Every profile by name: those of CROSSVIEW_S3_PROFILES, then the default for all other buckets.

    Raises BadSetting naming the profile that cannot be used.
    """
    from jobs.bootstrap import s3_profile

    default = s3_profile(settings)
    named = read_profiles(settings.s3_profiles) if settings.s3_profiles is not None else {}
    return {**named, default.name: default}


def store_profile(settings: Settings) -> S3Profile | None:
    """The profile of the store's bucket; None for a folder."""
    if not settings.store.lower().startswith("s3://"):
        return None
    where: S3Uri = parse_uri(settings.store, key_required=False)
    return profile_for(where.bucket, s3_profiles(settings))


@lru_cache(maxsize=4)
def read_profiles(path: Path) -> dict[str, S3Profile]:
    """The profiles of a TOML file, each a table of its own. Raises BadSetting."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadSetting(f"CROSSVIEW_S3_PROFILES, {path}, cannot be read ({error}).", hint=_AS_IN) from None
    found = {name: _profile(name, table) for name, table in document.items()}
    serving: dict[str, str] = {}
    for profile in found.values():
        for bucket in profile.buckets:
            if (other := serving.setdefault(bucket, profile.name)) != profile.name:
                raise BadSetting(
                    f"The S3 profiles {other!r} and {profile.name!r} both serve {bucket!r}.",
                    hint="Name each bucket or pattern once.",
                )
    return found


def _profile(name: str, table: Any) -> S3Profile:
    def bad(problem: str) -> BadSetting:
        return BadSetting(f"The S3 profile {name!r} {problem}.", hint=_AS_IN)

    if name == "default" or not isinstance(table, dict):
        raise bad("is no table of its own name (the default is set by CROSSVIEW_S3_ENDPOINT and its kin)")
    for entry, value in table.items():
        if entry not in _ENTRIES:
            raise bad(f"has the unknown entry {entry!r}; known are {', '.join(_ENTRIES)}")
        if not isinstance(value, _ENTRIES[entry]):
            raise bad(f"has something other than a {_ENTRIES[entry].__name__} as its {entry}")
    buckets = table.get("buckets", [])
    if not buckets or not all(isinstance(bucket, str) and bucket for bucket in buckets):
        raise bad("does not say which buckets it serves")
    if bool(table.get("access_key_id")) != bool(table.get("secret_access_key")):
        raise bad("has only one of access_key_id and secret_access_key")
    if table.get("anonymous") and table.get("access_key_id"):
        raise bad("is anonymous and has keys")
    endpoint = table.get("endpoint")
    if endpoint is not None and (urlsplit(endpoint).scheme not in ("https", "http") or not urlsplit(endpoint).hostname):
        raise bad("has an endpoint that is no https:// or http:// address")
    return S3Profile(
        name=name,
        endpoint_url=endpoint,
        region=table.get("region", "us-east-1"),
        access_key=table.get("access_key_id"),
        secret_key=table.get("secret_access_key"),
        buckets=tuple(buckets),
        anonymous=table.get("anonymous", False),
    )


# -- the web ---------------------------------------------------------------------------------------------------------


def _allowed(text: str) -> tuple[frozenset[str], tuple[Network, ...]]:
    hosts: set[str] = set()
    networks: list[Network] = []
    for word in (part.strip().lower() for part in text.split(",")):
        if not word:
            continue
        try:
            networks.append(ip_network(word))
        except ValueError:
            if "/" in word or ":" in word or not word.strip("."):
                raise BadSetting(
                    f"CROSSVIEW_FETCH_ALLOW has {word!r}, which is neither a host nor a network.",
                    hint="Separate names (files.lab.example) and networks (10.1.0.0/16) by commas; ports are set by "
                    "CROSSVIEW_FETCH_PORTS.",
                ) from None
            hosts.add(word.removesuffix("."))
    return frozenset(hosts), tuple(networks)


def _ports(text: str) -> frozenset[int]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if any(not word.isdecimal() or not 0 < int(word) < 65_536 for word in words):
        raise BadSetting(f"CROSSVIEW_FETCH_PORTS is {text!r}.", hint="Separate ports by commas: 443, 8443.")
    return frozenset(int(word) for word in words) or PORTS
