"""A change of keys that goes to another place, and breaks off on the way: it goes on from either place."""

import os
import shutil
from pathlib import Path

import pytest

from secrets_actor.backends.local.envelope import Master
from secrets_actor.backends.local.keys.external_key import ExternalKey
from secrets_actor.backends.local.keys.readers import FileReader
from secrets_actor.backends.local.master_key_source import MasterKeySource
from secrets_actor.backends.local.upkeep.existing_store import opened_store
from secrets_actor.backends.local.upkeep.rekey import Rekeyed, _wrap, rekey
from secrets_actor.backends.local.upkeep.verify import verify
from secrets_actor.domain.errors import KeySourceError, WrongKey
from tests.backends.local.helpers import SECRETS, key_of, within
from tests.backends.local.test_rekey import assert_whole


def given(path: Path) -> ExternalKey:
    """A key that somebody else made: a place that holds one at a time."""
    path.touch(0o600)
    path.write_text(os.urandom(32).hex())
    return ExternalKey(FileReader(str(path)))


def broken_off(store: Path, to: MasterKeySource, after: int) -> None:
    """A deep rekey to another source that ends when it has told so many times how far it is."""

    def told(_so_far: Rekeyed) -> None:
        nonlocal after
        after -= 1
        if after < 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rekey(store, key_of(store), to=to, deep=True, deadline=within().deadline, on_progress=told)


def test_what_broke_off_behind_the_change_of_place_goes_on_from_either_place(store: Path, tmp_path: Path) -> None:
    former, source = tmp_path / "former", given(tmp_path / "given")
    shutil.copytree(store, former)
    for folder, present, to in ((store, key_of(store), source), (former, source, None)):
        broken_off(folder, source, 1)
        assert verify(folder, source, deadline=within().deadline).unfinished is not None

        done = rekey(folder, present, to=to, deep=True, deadline=within().deadline)

        assert (done.master, done.resumed, done.total) == (False, True, SECRETS - 64 + SECRETS + 2)
        assert (done.secrets, done.versions, done.left) == (SECRETS - 64, SECRETS + 2, 0)
        assert_whole(folder, source)
    with pytest.raises(KeySourceError, match="one key at a time"):
        rekey(store, source, deep=True, deadline=within().deadline)
    with pytest.raises(WrongKey, match="key file"):  # neither of them opens it
        rekey(store, key_of(store), to=given(tmp_path / "another"), deadline=within().deadline)
    assert_whole(store, source)


def test_two_master_keys_are_one_again_for_a_place_that_holds_one(store: Path, tmp_path: Path) -> None:
    source = given(tmp_path / "given")
    rekey(store, key_of(store), to=source, deadline=within().deadline)
    with opened_store(store, source, within().deadline) as halfway:
        other = Master(os.urandom(32), halfway.keys.store_id)
        present = Master(source.load() or b"", halfway.keys.store_id)
        halfway.write_transaction(lambda rows, _records: _wrap(rows, present, other, None), within().deadline)
    assert "master key" in (verify(store, source, deadline=within().deadline).unfinished or "")

    assert not rekey(store, source, deadline=within().deadline).master

    assert_whole(store, source)
