"""Tells the current versions of many secrets, without their values.

Rule 1: OpenBao tells of many secrets of a folder by one call, Vault of one secret by each. A policy may allow only the
        second. Where that is denied, too, it is an error of that one secret: whoever may read its value learns the
        version so.
Rule 2: the active node is asked, for what others have written is to be heard of, and a standby may not have it yet.
Rule 3: a page of a folder begins at the first secret that is wanted still. So each page tells of one at least, and the
        pages are no more calls than one for each secret would be. A page that is nearly all others' is the last one.
Rule 4: if the server stops answering when it has told of some, the others have that error: what is known is of use.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from secrets_actor.backends.vault import answers, layout, requests
from secrets_actor.backends.vault.kv_session import KvSession
from secrets_actor.backends.vault.layout import KvSecret
from secrets_actor.backends.vault.names import folder_of
from secrets_actor.backends.vault.reads import unreadable
from secrets_actor.domain.errors import (
    AccessDenied,
    CredentialsError,
    InvalidInput,
    InvalidRequest,
    SecretNotFound,
    SecretsError,
)
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import CurrentVersions
from secrets_actor.domain.results import CurrentVersion, VersionBatch

# So few secrets of a folder are asked for one by one: a page may be full of others.
_FEW: Final = 2
# A page on which fewer than one entry in so many was wanted is the last one (rule 3).
_SPARSE: Final = 16


def current_versions(session: KvSession, operation: CurrentVersions) -> VersionBatch:
    """Return the current versions. Raises what the runner raises, if the server tells of none."""
    found, errors = dict[str, CurrentVersion](), dict[str, SecretsError]()
    names: dict[SecretId, str] = {}
    for secret_id in operation.secret_ids:
        try:
            name = session.mount.name_of(secret_id)
        except InvalidInput as error:
            errors[secret_id] = error.clone()
        else:
            if name is None:
                errors[secret_id] = SecretNotFound(f"there is no secret {secret_id} in {session.mount.store_name}")
            else:
                names[secret_id] = name
    told, untold = _Round(session).ask(names.values())
    for secret_id, name in names.items():
        if name in untold:
            errors[secret_id] = untold[name].clone()
        else:
            _tell(session, secret_id, name, told[name], found, errors)
    return VersionBatch(found, errors)


def _tell(
    session: KvSession,
    secret_id: str,
    name: str,
    secret: KvSecret | None,
    found: dict[str, CurrentVersion],
    errors: dict[str, SecretsError],
) -> None:
    latest = None if secret is None else secret.latest
    if secret is not None and latest is not None and layout.is_alive(latest, session.now):
        version_id = layout.id_of(latest, secret.custom)
        found[secret_id] = CurrentVersion(name, session.mount.arn(name), version_id)
    else:
        errors[secret_id] = unreadable(session, name, secret)


class _Round:
    """The calls of one question, and what they have told."""

    def __init__(self, session: KvSession) -> None:
        self._session = session
        self._told: dict[str, KvSecret | None] = {}
        self._untold: dict[str, SecretsError] = {}

    def ask(self, names: Iterable[str]) -> tuple[dict[str, KvSecret | None], dict[str, SecretsError]]:
        """Return what the server tells of the secrets *names* (None: there is no such secret), and the errors of those
        of which it tells nothing."""
        wanted = sorted(set(names), key=lambda name: (folder_of(name), name))
        try:
            for folder, group in groupby(wanted, folder_of):
                for name in self._left_by_pages(folder, list(group)):
                    self._ask_for(name)
        except SecretsError as error:
            if not self._told or isinstance(error, CredentialsError):  # a new token helps: all is asked once more
                raise
            stopped = error.clone()
            self._untold.update({name: stopped for name in wanted if name not in self._told | self._untold})
        if None in self._told.values():
            self._session.check_mount()
        return self._told, self._untold

    def _left_by_pages(self, folder: str, names: list[str]) -> list[str]:
        """Ask for pages of *folder*, and return those of *names* of which they have not told."""
        store, left = self._session.store, [name.removeprefix(folder) for name in names]
        while len(left) > _FEW and folder not in store.closed_folders:
            call = requests.details_call(store.mount, folder, left)
            try:
                told, listed, untold = answers.details_in(folder, left, self._session.run(call))
            except (InvalidRequest, AccessDenied):
                store.closed_folders.add(folder)
                break
            self._told.update(told)
            left = untold
            if listed > _SPARSE * len(told):
                break
        return [f"{folder}{name}" for name in left]

    def _ask_for(self, name: str) -> None:
        try:
            answer = self._session.run(requests.metadata_call(self._session.mount, name, fresh=True))
        except AccessDenied as error:
            self._untold[name] = error.clone()
        else:
            self._told[name] = answers.metadata(name, answer)
