"""The calls to a KV mount: where they go, what they carry, and that they show nothing."""

import json

import pytest

from secrets_actor.backends.vault import requests
from secrets_actor.backends.vault.names import Mount
from secrets_actor.backends.vault.protocol import VaultCall

MOUNT = Mount("team/kv")
NAME = "db/pass+word"
HIDDEN = "never-show-this"


@pytest.mark.parametrize(
    ("call", "method", "path", "body"),
    [
        (requests.read_call(MOUNT, NAME), "GET", "team/kv/data/db/pass%2Bword", None),
        (requests.read_call(MOUNT, NAME, 3), "GET", "team/kv/data/db/pass%2Bword?version=3", None),
        (requests.metadata_call(MOUNT, NAME), "GET", "team/kv/metadata/db/pass%2Bword", None),
        (requests.scan_call(MOUNT), "GET", "team/kv/detailed-metadata/?scan=true", None),
        (requests.scan_call(MOUNT, "db/"), "GET", "team/kv/detailed-metadata/db/?scan=true", None),
        (requests.list_call(MOUNT, "db/"), "GET", "team/kv/metadata/db/?list=true", None),
        (requests.mount_call(MOUNT), "GET", "sys/internal/ui/mounts/team/kv", None),
        (
            requests.write_call(MOUNT, NAME, {"value": f"{HIDDEN} ä"}, 7),
            "POST",
            "team/kv/data/db/pass%2Bword",
            {"data": {"value": f"{HIDDEN} ä"}, "options": {"cas": 7}},
        ),
        (
            requests.create_call(MOUNT, NAME, {"a": "b"}, 0),
            "POST",
            "team/kv/metadata/db/pass%2Bword",
            {"custom_metadata": {"a": "b"}, "metadata_cas": 0},
        ),
        (
            requests.create_call(MOUNT, NAME, {}, None),
            "POST",
            "team/kv/metadata/db/pass%2Bword",
            {"custom_metadata": {}},
        ),
        (
            requests.patch_call(MOUNT, NAME, {"a": None}, 4),
            "PATCH",
            "team/kv/metadata/db/pass%2Bword",
            {"custom_metadata": {"a": None}, "metadata_cas": 4},
        ),
        (
            requests.patch_call(MOUNT, NAME, {"a": "b"}, None),
            "PATCH",
            "team/kv/metadata/db/pass%2Bword",
            {"custom_metadata": {"a": "b"}},
        ),
        (
            requests.delete_call(MOUNT, NAME, {3, 1}),
            "POST",
            "team/kv/delete/db/pass%2Bword",
            {"versions": [1, 3]},
        ),
        (requests.undelete_call(MOUNT, NAME, [2]), "POST", "team/kv/undelete/db/pass%2Bword", {"versions": [2]}),
        (requests.remove_call(MOUNT, NAME), "DELETE", "team/kv/metadata/db/pass%2Bword", None),
    ],
)
def test_a_call(call: VaultCall, method: str, path: str, body: object) -> None:
    assert (call.method, call.path) == (method, path)
    assert (json.loads(call.body) if call.body else None) == body
    assert call.writes is (method != "GET")
    assert call.patch is (method == "PATCH")
    assert not call.fresh
    assert HIDDEN not in repr(call)


def test_a_read_may_ask_the_active_node() -> None:
    assert requests.read_call(MOUNT, NAME, fresh=True).fresh
    assert requests.metadata_call(MOUNT, NAME, fresh=True).fresh


@pytest.mark.parametrize(
    ("names", "query"),
    [(["pass+word", "user"], "?list=true&limit=8&after=pass%2Bwor"), (["a"], "?list=true&limit=4")],
)
def test_a_page_of_a_folder_begins_a_little_before_the_first_name(names: list[str], query: str) -> None:
    call = requests.details_call(MOUNT, "db/", names)

    assert (call.method, call.path, call.fresh) == ("GET", f"team/kv/detailed-metadata/db/{query}", True)
