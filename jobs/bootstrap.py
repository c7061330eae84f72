"""The composition root: settings become a database, a store, a runner and a service; and the client pages use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from jobs.accounts import access
from jobs.accounts.bound import bound
from jobs.accounts.errors import NotSignedIn
from jobs.accounts.principal import ONE, Principal
from jobs.client import Client
from jobs.errors import NotReady
from jobs.keeping.actor import acting
from jobs.runners.base import Runner
from jobs.settings import Settings

if TYPE_CHECKING:
    from jobs.accounts.service import Accounts
    from jobs.service import JobService
    from storage.artifacts import ArtifactStore
    from storage.s3 import S3Profile

_current: Client | None = None
_people = False  # whether several may sign in
_who: Callable[[], Principal | None] = access.me


def current_client() -> Client:
    """The client of this process, in the name of whoever asks. Pages and routes run where the server runs.

    Raises NotReady; NotSignedIn where people sign in and nobody has.
    """
    if _current is None:
        raise NotReady("The server is still starting.", hint="Try again in a moment.")
    asks = access.me()
    who = (asks or _who()) if _people else ONE
    if who is None or (_people and who is ONE):  # the one user of single-user mode is nobody where people sign in
        raise NotSignedIn("You are not signed in, or not any more.", hint="Sign in again: /auth/sign-in.")
    # A request was looked at on its way in; a page leaves things to be done when somebody clicks, much later.
    return bound(_current, who, via=acting().via, alive=_still_in if asks is None else None)


def _still_in(who: Principal) -> bool:
    """What a page leaves to be done later is done for whoever is let in then."""
    accounts = current_accounts() if _people else None
    return accounts is None or accounts.still(who) is not None


def ask_who(find: Callable[[], Principal | None]) -> None:
    """find: says who looks at the page that is drawn in this thread."""
    global _who
    _who = find


@contextmanager
def running(settings: Settings) -> Iterator[Client]:
    """A started client that `current_client` gives while the context lasts."""
    global _current, _people
    with opened(settings) as client:
        _current, _people = client, settings.auth.on
        try:
            yield client
        finally:
            _current, _people = None, False


def current_accounts() -> Accounts | None:
    """Who may come in, for the doors of this process; None where it asks a server elsewhere, or is not ready."""
    from jobs.client_local import LocalClient

    return _current.service.accounts if isinstance(_current, LocalClient) else None


@contextmanager
def opened(settings: Settings, *, runner: Runner | None = None) -> Iterator[Client]:
    """A client: over HTTP where CROSSVIEW_API_URL says so, else a service in process, started and closed again.

    runner: another than the settings name.
    """
    if settings.api_url is not None:
        from jobs.client_http import HttpClient

        with HttpClient(settings.api_url, settings.token) as client:
            yield client
        return
    from jobs.client_local import LocalClient

    service = build_service(settings, runner=runner)
    try:
        service.start()
        yield LocalClient(service)
    finally:
        service.close()


def build_service(settings: Settings, *, runner: Runner | None = None) -> JobService:
    """Opens the database and the store. Raises DatabaseLocked, UnsuitableStore and kin; then nothing stays open."""
    from jobs.catalog import load_catalog
    from jobs.fetching import s3_profiles
    from jobs.importing.importer import Importer
    from jobs.models import Models
    from jobs.reconcile.reconciler import Reconciler
    from jobs.results.read import Results
    from jobs.results.shelf import Shelf
    from jobs.service import JobService
    from jobs.submitting import Desk
    from jobs.training.shelf import with_trained
    from storage.database import Database
    from storage.uploads import UploadArea

    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = build_store(settings)
    uploads = UploadArea(settings.uploads, max_bytes=settings.max_upload_bytes)
    database = Database.open(settings.database)
    try:
        runner = runner or build_runner(settings)
        shelf = Shelf(store, settings.cache)
        catalog = partial(load_catalog, settings.pretrained, settings.home / "models")
        models = Models(load=with_trained(catalog, database, shelf))
        importer = Importer(settings, database, store, uploads, models, s3_profiles(settings))
        reconciler = Reconciler(
            database,
            store,
            runner,
            models.folder_of,
            store.uri(),
            rules=settings.rules,
            period_s=settings.poll_seconds,
        )
        return JobService(
            settings=settings,
            database=database,
            store=store,
            runner=runner,
            uploads=uploads,
            models=models,
            importer=importer,
            results=Results(database, shelf, models.folder_of),
            reconciler=reconciler,
            desk=Desk(database, shelf, runner, models, importer, reconciler.wake, settings.rules),
        )
    except BaseException:
        database.close()
        raise


def build_store(settings: Settings) -> ArtifactStore:
    from jobs.fetching import store_profile
    from storage.artifacts import store_from_uri

    return store_from_uri(settings.store, profile=store_profile(settings))


def build_runner(settings: Settings) -> Runner:
    if settings.runner == "local":
        from jobs.runners.local import LocalRunner

        return LocalRunner(settings.home / "runner")
    from jobs.runners.ray.runner import RayRunner

    return RayRunner(settings.ray_address, token_path=settings.ray_token_path)


def s3_profile(settings: Settings) -> S3Profile:
    """The default profile, for buckets that no named one serves; without keys boto3's own chain is asked."""
    from storage.s3 import S3Profile

    given = settings.s3
    return S3Profile(
        endpoint_url=given.endpoint,
        region=given.region or "us-east-1",
        access_key=given.access_key_id,
        secret_key=given.secret_access_key,
    )
