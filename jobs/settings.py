"""Everything an operator may set, read once from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from engine.errors import BadSetting
from jobs.accounts.settings import AuthSettings
from jobs.fetching import web_rules
from jobs.notify.settings import NotifySettings
from jobs.queue.rules import Rules
from jobs.rate import AT_ONCE, PER_MINUTE, Rate
from storage.guard import WebRules

REPOSITORY = Path(__file__).resolve().parent.parent
GIB = 2**30
RunnerName = Literal["ray", "local"]


@dataclass(frozen=True, slots=True)
class S3Settings:
    """The one default S3 profile; empty fields leave the choice to boto3's own chain."""

    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """home: where the database, uploads and caches live. store: a folder or `s3://bucket/prefix`."""

    home: Path
    store: str
    runner: RunnerName = "ray"
    ray_address: str = "http://127.0.0.1:8265"
    ray_token_path: Path | None = None
    api_url: str | None = None
    host: str = "127.0.0.1"
    port: int = 8501
    allowed_hosts: tuple[str, ...] = ()
    import_roots: tuple[Path, ...] = ()
    chains: Path | None = None  # folder of UCSC chain files
    pretrained: Path = REPOSITORY / "pretrained"
    s3: S3Settings = S3Settings()
    s3_profiles: Path | None = None  # a TOML file of further profiles
    s3_direct: bool = False  # results in S3 are downloaded from there, by a link of a few minutes
    fetch: WebRules = field(default_factory=WebRules)
    max_upload_bytes: int = 50 * GIB  # ours
    import_workers: int = 2  # imports at once; each is a child process  # ours
    concurrent_jobs: int = 2  # attempts in the runner's hands at once; the others queue  # ours
    user_running: int = 0  # of these, of one user; 0: no limit
    user_queued: int = 2_000  # waiting jobs of one user; 0: no limit  # ours
    job_hours: float = 0.0  # that an attempt may run; 0: no limit
    start_minutes: float = 60.0  # from hand-over to its start; 0: no limit  # ours
    poll_seconds: float = 0.5  # how often the reconciler looks  # ours
    checkpoint_seconds: float = 20.0  # between two checkpoints of a training, at least  # ours
    quota_bytes: int | None = None  # datasets, results and uploads of one owner; None: as much as there is room for
    quota_datasets: int | None = None
    retention_days: int | None = None  # of new datasets; None: until somebody deletes them
    result_days: int | None = None  # of finished jobs, from their end on
    notify: NotifySettings = field(default_factory=NotifySettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    token: str | None = field(default=None, repr=False)  # that the command line shows to a server
    rate: Rate = field(default_factory=lambda: Rate(PER_MINUTE, AT_ONCE))  # of requests of one person

    def __post_init__(self) -> None:
        if not self.auth.on and not is_loopback(self.host):
            raise BadSetting(
                f"CROSSVIEW_HOST is {self.host}: listening beyond this machine needs a login, and none is set up.",
                hint="Set CROSSVIEW_AUTH (local, oidc or proxy), or use 127.0.0.1 and reach it through an SSH tunnel.",
            )
        if self.auth.on and self.api_url is not None:
            raise BadSetting(
                "CROSSVIEW_AUTH and CROSSVIEW_API_URL are both set: people sign in where the database is.",
                hint="Leave CROSSVIEW_AUTH out here; CROSSVIEW_TOKEN says who asks the server elsewhere.",
            )
        if self.runner == "ray" and not self.store_is_remote and not is_loopback(urlsplit(self.ray_address).hostname):
            raise BadSetting(
                f"Ray at {self.ray_address} is another machine, but the store is the local folder {self.store}.",
                hint="Set CROSSVIEW_STORE to an s3:// address that every node can reach.",
            )

    @property
    def url(self) -> str:
        """Where commands find the server: elsewhere, or on this machine, whatever it listens on."""
        host = self.host if is_loopback(self.host) else "127.0.0.1"
        return self.api_url or f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def names(self) -> tuple[str, ...]:
        """Further `host:port` a browser may use: those allowed, and that of the public address."""
        public = urlsplit(self.notify.public_url).netloc
        return (*self.allowed_hosts, *([public] if public else []))

    @property
    def store_is_remote(self) -> bool:
        return "://" in self.store and not self.store.startswith("file://")

    @property
    def rules(self) -> Rules:
        """Of the queue."""
        return Rules(
            places=self.concurrent_jobs,
            user_running=self.user_running,
            user_queued=self.user_queued,
            job_s=self.job_hours * 3_600,
            start_s=self.start_minutes * 60,
        )

    @property
    def database(self) -> Path:
        return self.home / "crossview.duckdb"

    @property
    def uploads(self) -> Path:
        return self.home / "uploads"

    @property
    def scratch(self) -> Path:
        return self.home / "scratch"

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Raises BadSetting naming the variable that cannot be used."""
        home = Path(environ.get("CROSSVIEW_HOME") or REPOSITORY / "var").expanduser().absolute()
        token = environ.get("CROSSVIEW_RAY_TOKEN_PATH")
        quota = environ.get("CROSSVIEW_QUOTA_GB")
        auth = AuthSettings.from_env(environ)
        return cls(
            home=home,
            store=environ.get("CROSSVIEW_STORE") or str(home / "store"),
            runner=_runner(environ.get("CROSSVIEW_RUNNER") or "ray"),
            ray_address=environ.get("CROSSVIEW_RAY_ADDRESS") or "http://127.0.0.1:8265",
            ray_token_path=Path(token) if token else None,
            api_url=environ.get("CROSSVIEW_API_URL") or None,
            host=(environ.get("CROSSVIEW_HOST") or "127.0.0.1").strip(),
            port=_port(environ.get("CROSSVIEW_PORT") or "8501"),
            allowed_hosts=_words(environ.get("CROSSVIEW_ALLOWED_HOSTS", "")),
            import_roots=tuple(
                Path(root).expanduser().resolve()
                for root in environ.get("CROSSVIEW_IMPORT_ROOTS", "").split(os.pathsep)
                if root
            ),
            chains=_folder(environ, "CROSSVIEW_CHAINS"),
            pretrained=Path(environ.get("CROSSVIEW_PRETRAINED") or REPOSITORY / "pretrained"),
            s3=_s3(environ),
            s3_profiles=_file(environ, "CROSSVIEW_S3_PROFILES"),
            s3_direct=_switch(environ, "CROSSVIEW_S3_DIRECT"),
            fetch=web_rules(
                mode=environ.get("CROSSVIEW_FETCH"),
                allow=environ.get("CROSSVIEW_FETCH_ALLOW"),
                ports=environ.get("CROSSVIEW_FETCH_PORTS"),
            ),
            concurrent_jobs=_count(environ, "CROSSVIEW_CONCURRENT_JOBS", 2),
            user_running=int(_limit(environ, "CROSSVIEW_USER_RUNNING", "0", "jobs", whole=True)),
            user_queued=int(_limit(environ, "CROSSVIEW_USER_QUEUED", "2000", "jobs", whole=True)),
            job_hours=_limit(environ, "CROSSVIEW_JOB_HOURS", "0", "hours"),
            start_minutes=_limit(environ, "CROSSVIEW_START_MINUTES", "60", "minutes"),
            checkpoint_seconds=_seconds(environ, "CROSSVIEW_CHECKPOINT_SECONDS", 20.0),
            max_upload_bytes=_gigabytes(environ.get("CROSSVIEW_MAX_UPLOAD_GB") or "50"),
            quota_bytes=_gigabytes(quota, "CROSSVIEW_QUOTA_GB") if quota else None,
            quota_datasets=_bound(environ, "CROSSVIEW_QUOTA_DATASETS", "datasets", most=1_000_000),
            retention_days=_bound(environ, "CROSSVIEW_RETENTION_DAYS", "days", most=36_500),
            result_days=_bound(environ, "CROSSVIEW_RESULT_DAYS", "days", most=36_500),
            notify=NotifySettings.from_env(environ, people=auth.on),
            auth=auth,
            token=environ.get("CROSSVIEW_TOKEN") or None,
            rate=_rate(environ),
        )


def is_loopback(host: str | None) -> bool:
    """Whether this name or address is this machine and nothing else."""
    if not host:
        return False
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _runner(value: str) -> RunnerName:
    if value not in ("ray", "local"):
        raise BadSetting(f"CROSSVIEW_RUNNER is {value!r}.", hint="Use ray or local.")
    return cast(RunnerName, value)


def _port(value: str) -> int:
    if not value.isdecimal() or not 0 < int(value) < 65_536:
        raise BadSetting(f"CROSSVIEW_PORT is {value!r}.", hint="Use a number from 1 to 65535.")
    return int(value)


def _gigabytes(value: str, name: str = "CROSSVIEW_MAX_UPLOAD_GB") -> int:
    try:
        size = float(value)
    except ValueError:
        size = 0.0
    if not 0 < size < 1e6:
        raise BadSetting(f"{name} is {value!r}.", hint="Use a number of gigabytes, such as 50.")
    return int(size * GIB)


def _bound(environ: Mapping[str, str], name: str, what: str, *, most: int) -> int | None:
    """A number that may be left out: then there is no limit."""
    value = environ.get(name, "").strip()
    if not value:
        return None
    if not value.isdecimal() or not 0 < int(value) <= most:
        raise BadSetting(f"{name} is {value!r}.", hint=f"Use a whole number of {what}, or leave it out for no limit.")
    return int(value)


def _count(environ: Mapping[str, str], name: str, default: int) -> int:
    value = environ.get(name) or str(default)
    if not value.isdecimal() or not 0 < int(value) <= 1_000:
        raise BadSetting(f"{name} is {value!r}.", hint="Use a whole number from 1 to 1000.")
    return int(value)


def _limit(environ: Mapping[str, str], name: str, default: str, of: str, *, whole: bool = False) -> float:
    """0 is no limit."""
    value = environ.get(name) or default
    try:
        limit = float(value)
    except ValueError:
        limit = -1.0
    if not 0 <= limit <= 100_000 or (whole and not value.isdecimal()):
        number = "a whole number" if whole else "a number"
        raise BadSetting(f"{name} is {value!r}.", hint=f"Use {number} of {of} up to 100000, or 0 for no limit.")
    return limit


def _rate(environ: Mapping[str, str]) -> Rate:
    per_minute = _limit(environ, "CROSSVIEW_REQUESTS", str(PER_MINUTE), "requests", whole=True)
    at_once = _limit(environ, "CROSSVIEW_REQUESTS_AT_ONCE", str(AT_ONCE), "requests", whole=True)
    return Rate(per_minute=int(per_minute), at_once=max(1, int(at_once)))


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    value = environ.get(name) or str(default)
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise BadSetting(f"{name} is {value!r}.", hint="Use a number of seconds, such as 20.")
    return seconds


def _folder(environ: Mapping[str, str], name: str) -> Path | None:
    if not (value := environ.get(name)):
        return None
    folder = Path(value).expanduser().absolute()
    if not folder.is_dir():
        raise BadSetting(f"{name} is {value}, which is no folder.", hint="Name a folder, or leave it out.")
    return folder


def _file(environ: Mapping[str, str], name: str) -> Path | None:
    value = environ.get(name)
    if not value:
        return None
    path = Path(value).expanduser().absolute()
    if not path.is_file():
        raise BadSetting(f"{name} is {value}, and there is no such file.", hint="Give the path of a TOML file.")
    return path


def _switch(environ: Mapping[str, str], name: str) -> bool:
    value = (environ.get(name) or "off").lower()
    if value not in ("on", "off"):
        raise BadSetting(f"{name} is {value!r}.", hint="Use on or off.")
    return value == "on"


def _words(value: str) -> tuple[str, ...]:
    return tuple(word for word in (part.strip() for part in value.split(",")) if word)


def _s3(environ: Mapping[str, str]) -> S3Settings:
    key, secret = environ.get("CROSSVIEW_S3_ACCESS_KEY_ID"), environ.get("CROSSVIEW_S3_SECRET_ACCESS_KEY")
    if bool(key) != bool(secret):
        raise BadSetting(
            "Only one of CROSSVIEW_S3_ACCESS_KEY_ID and CROSSVIEW_S3_SECRET_ACCESS_KEY is set.",
            hint="Set both, or neither to use the machine's own AWS credentials.",
        )
    return S3Settings(
        endpoint=environ.get("CROSSVIEW_S3_ENDPOINT") or None,
        region=environ.get("CROSSVIEW_S3_REGION") or None,
        access_key_id=key or None,
        secret_access_key=secret or None,
    )
