"""The rig of the daemon: what it writes for a configuration is what it was given."""

import tomllib
from pathlib import Path

from tests.servers.daemon import toml


def test_the_toml_that_is_written_is_the_table_that_was_given() -> None:
    table = {
        "backend": "local_encrypted",
        "ttl_seconds": 0.5,
        "daemon": {
            "listen": [{"address": 'unix:/ä/"b\\', "faces": ["aws"]}, {"tls": {"cert": Path("/c")}, "address": "x"}],
            "drain_seconds": 3,
            "key": [{"secret_key": {"file": "/k"}, "name": "ci"}],
            "token": [],
        },
        "log": {"output": Path("/log"), "on": True},
    }

    read = tomllib.loads(toml(table))

    assert read == {
        **table,
        "daemon": {
            **table["daemon"],
            "listen": [table["daemon"]["listen"][0], {"tls": {"cert": "/c"}, "address": "x"}],
        },
        "log": {"output": "/log", "on": True},
    }
