"""The AWS backend in the whole tree, against servers that misbehave: typed errors on time, and health afterwards."""

from pathlib import Path
from typing import Any

import pytest

from secrets_actor import AwsSettings, DeadlineExceeded, SecretsError, StoreFailure, System
from secrets_actor.clock import now as clock_now
from secrets_actor.errors import BackendTimeout, BodyReadFailed, ConnectionFailed, InvalidAnswer, RequestFailed
from tests.actor.rig import (
    Watch,
    eventually,
    failure,
    in_background,
    kill,
    process,
    running,
    settings,
    some_worker,
    whole,
    workers,
)
from tests.servers.account import ROOT_KEYS, allow_everything
from tests.servers.behaviours import (
    Behaviour,
    Forward,
    Gate,
    Hang,
    HangUp,
    Reset,
    empty_body,
    half_body,
    half_json,
    html_500,
)
from tests.servers.faulty import FaultyServer
from tests.servers.ministack import Ministack
from tests.servers.moto import MotoServer

TOKEN = "33333333-3333-4333-8333-333333333333"  # the caller's own: what it set may be the past by now
SLACK = 2.0  # a deadline is kept within this factor on a busy machine


def system_at(url: str, folder: Path, keys: Any, watch: Watch | None = None, **more: Any) -> System:
    """A system whose store is at *url*."""
    aws = AwsSettings(
        region="us-east-1",
        endpoint_url=url,
        access_key=keys.access_key_id,
        secret_key=keys.secret_key,
        timeout=5.0,
        max_attempts=more.pop("max_attempts", None),
    )
    given = {"breaker_failures": 0} | more  # what comes after a failure is to be sent
    return System(settings(folder, backend="aws_secrets_manager", aws=aws, **given), observer=watch)


@pytest.fixture
def keys(fresh_ministack: Ministack) -> Any:
    """A user who may do everything."""
    return fresh_ministack.account.user(allow_everything())


@pytest.fixture
def port(fresh_ministack: Ministack) -> int:
    """Where ministack listens."""
    return fresh_ministack.process.port


def versions(moto: MotoServer, name: str) -> list[str]:
    """The version ids of a secret, as boto3 sees them."""
    listed = moto.client("secretsmanager").list_secret_version_ids(SecretId=name, IncludeDeprecated=True)
    return [one["VersionId"] for one in listed["Versions"]]


@pytest.mark.parametrize(
    ("behaviour", "errors"),
    [
        (Hang(), {BackendTimeout, DeadlineExceeded}),
        (Hang(read_first=False), {BackendTimeout, DeadlineExceeded}),
        (Reset(), {RequestFailed}),
        (Reset(read_first=False), {RequestFailed, ConnectionFailed}),
        (HangUp(), {RequestFailed}),
        (half_body(), {BodyReadFailed}),
        (half_json(), {InvalidAnswer}),
        (empty_body(), {InvalidAnswer}),
        (html_500(), {StoreFailure, InvalidAnswer}),
    ],
    ids=["hang", "deaf", "reset", "reset at once", "hang up", "half body", "half json", "empty", "html"],
)
def test_a_bad_server_is_a_typed_error_on_time_and_forgotten_when_it_recovers(
    behaviour: Behaviour, errors: set[type[SecretsError]], tmp_path: Path, keys: Any, port: int
) -> None:
    with FaultyServer(behaviour, behaviour, behaviour, Forward(port)) as server:
        with running(system_at(server.url, tmp_path, keys)) as system:
            begun = clock_now()
            error = failure(lambda: system.secrets.get("a", timeout=1.0))
            took = clock_now() - begun

            assert type(error) in errors
            assert "never-show-this" not in str(error)
            assert took < 1.0 * SLACK
            while server.connections < 3:  # one that hangs, or keeps its connection, is bad for longer
                server.drop()
                failure(lambda: system.secrets.get("a", timeout=0.3))
            server.drop()
            assert system.secrets.set("a", "v").created
            assert system.secrets.get("a").reveal() == "v"
            eventually(lambda: whole(system))


def test_n_threads_that_ask_for_one_key_cause_one_request(
    tmp_path: Path, keys: Any, port: int, fresh_ministack: Ministack
) -> None:
    fresh_ministack.client("secretsmanager").create_secret(Name="a", SecretString="v")
    gate = Gate()
    with FaultyServer(Forward(port, gate)) as server, running(system_at(server.url, tmp_path, keys)) as system:
        getting = [in_background(lambda: system.secrets.get("a").reveal()) for _ in range(12)]
        gate.wait_until_held()
        eventually(lambda: process(system, "secrets").open_calls == 12)
        gate.open()

        assert [one.result(10) for one in getting] == ["v"] * 12
        assert system.secrets.get("a").source == "cache"
        assert len(server.requests) == 1


def test_a_get_behind_a_queued_set_asks_anew_and_sees_it(
    tmp_path: Path, keys: Any, port: int, fresh_ministack: Ministack
) -> None:
    fresh_ministack.client("secretsmanager").create_secret(Name="a", SecretString="old")
    gate = Gate(only=b"GetSecretValue")
    with FaultyServer(Forward(port, gate)) as server, running(system_at(server.url, tmp_path, keys)) as system:
        first = in_background(lambda: system.secrets.get("a").reveal())
        gate.wait_until_held()
        setting = in_background(lambda: system.secrets.set("a", "new", token=TOKEN))
        eventually(lambda: process(system, "secrets").open_calls == 2)
        second = in_background(lambda: system.secrets.get("a").reveal())
        eventually(lambda: process(system, "secrets").open_calls == 3)
        gate.open()

        assert (first.result(10), second.result(10)) == ("old", "new")
        setting.result(10)
        # Those of the callers: the backend looks up by its id what ministack has made of the set.
        assert sum(b"GetSecretValue" in one.head and b"AWSCURRENT" in one.body for one in server.requests) == 2


@pytest.mark.parametrize("before", [True, False], ids=["before the store saw it", "after the store did it"])
def test_a_worker_killed_in_the_middle_of_a_get_costs_the_caller_nothing(
    before: bool, tmp_path: Path, keys: Any, port: int, fresh_ministack: Ministack
) -> None:
    fresh_ministack.client("secretsmanager").create_secret(Name="a", SecretString="v")
    gate = Gate(before=before)
    with FaultyServer(Forward(port, gate), Forward(port)) as server:
        with running(system_at(server.url, tmp_path, keys)) as system:
            getting = in_background(lambda: system.secrets.get("a").reveal())
            gate.wait_until_held()
            eventually(lambda: workers(system))
            some_worker(system).kill()

            assert getting.result(10) == "v"
            eventually(lambda: not system.tree().disowned, "the end of the thread that was cut off")


# moto keeps to AWS's rule that a token makes one version; ministack does not (tests/contract/divergences.py).
@pytest.mark.parametrize("before", [True, False], ids=["before the store saw it", "after the store did it"])
@pytest.mark.parametrize("exists", [False, True], ids=["create", "update"])
def test_a_worker_killed_in_the_middle_of_a_set_leaves_exactly_one_new_version(
    before: bool, exists: bool, tmp_path: Path, fresh_moto: MotoServer
) -> None:
    if exists:
        fresh_moto.client("secretsmanager").create_secret(Name="a", SecretString="old")
    gate = Gate(only=b"UpdateSecret" if exists else b"CreateSecret", before=before)
    with FaultyServer(Forward(fresh_moto.process.port, gate), Forward(fresh_moto.process.port)) as server:
        with running(system_at(server.url, tmp_path, ROOT_KEYS)) as system:
            setting = in_background(lambda: system.secrets.set("a", "new"))
            gate.wait_until_held()
            eventually(lambda: workers(system))
            some_worker(system).kill()
            receipt = setting.result(10)
            gate.open()  # the request of the dead may reach the store now

            assert system.secrets.get("a").reveal() == "new"
            eventually(lambda: not system.tree().disowned)
    found = versions(fresh_moto, "a")
    assert len(found) == 1 + exists
    assert receipt.version_id in found


def test_a_set_whose_actor_died_is_repeated_with_its_token_and_leaves_one_version(
    tmp_path: Path, fresh_moto: MotoServer
) -> None:
    gate = Gate(only=b"CreateSecret")
    with FaultyServer(Forward(fresh_moto.process.port, gate), Forward(fresh_moto.process.port)) as server:
        with running(system_at(server.url, tmp_path, ROOT_KEYS)) as system:
            setting = in_background(lambda: system.secrets.set("a", "v"))
            gate.wait_until_held()
            kill(system, "secrets")
            error = setting.exception(10)
            token = getattr(error, "token", None)
            assert token is not None
            assert system.secrets.set("a", "v", token=token).version_id == token
            gate.open()
            assert system.secrets.get("a").reveal() == "v"
    assert versions(fresh_moto, "a") == [token]


@pytest.fixture
def gone() -> str:
    """An address where nobody listens any more."""
    with FaultyServer(Hang()) as server:
        return server.url


def test_the_tree_comes_up_without_a_store_and_says_so_when_asked(tmp_path: Path, keys: Any, gone: str) -> None:
    with running(system_at(gone, tmp_path, keys)) as system:
        assert failure(lambda: system.secrets.get("a", timeout=2.0)).__class__.__name__ == "ConnectionFailed"
        assert failure(lambda: system.secrets.set("a", "v", timeout=2.0)).__class__.__name__ == "ConnectionFailed"
        eventually(lambda: whole(system))


def test_a_store_that_hangs_for_many_callers_costs_no_worker_its_life(
    tmp_path: Path, keys: Any, port: int, watch: Watch
) -> None:
    with FaultyServer(*[Hang()] * 16, Forward(port)) as server:
        with running(system_at(server.url, tmp_path, keys, watch)) as system:
            asked = [in_background(lambda k=k: system.secrets.get(f"k{k}", timeout=0.5)) for k in range(16)]
            assert {type(one.exception(5)) for one in asked} <= {BackendTimeout, DeadlineExceeded}
            eventually(lambda: whole(system))
            assert watch.count("ChildRestarted") == 0
            assert system.secrets.set("a", "v", timeout=5.0).created
