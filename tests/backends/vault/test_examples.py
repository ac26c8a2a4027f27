"""config/vault.toml and config/vault-policy.hcl against a real server: they are what a program needs, and no more."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from secrets_actor import Secrets, SecretsError, Settings, VaultSettings, start
from secrets_actor.domain.tracing import CallTrace
from secrets_actor.messages import CurrentVersions, Filter
from tests.architecture.house import ROOT
from tests.servers.openbao import OpenBaoDev

CONFIG = ROOT / "config"
POLICY = (CONFIG / "vault-policy.hcl").read_text()
NAME = "app/one"


def _made(secrets: Secrets) -> object:
    return secrets.create(NAME, "first", description="of a test", tags={"team": "web"}).created


def _listed(secrets: Secrets) -> object:
    return [(one.name, one.description) for one in secrets.list(include_deleted=True) if one.name.startswith("app/")]


def _previous(secrets: Secrets) -> object:
    return secrets.get(NAME, stage="AWSPREVIOUS").reveal()


def _repeated(secrets: Secrets) -> object:
    """A set that comes again late, after another one, is known by its token."""
    token = secrets.set(NAME, "second", token="t" * 32).version_id
    secrets.set(NAME, "third")
    return secrets.set(NAME, "second", token=token).version_id == token, secrets.get(NAME).reveal()


STEPS: dict[str, Callable[[Secrets], object]] = {
    "create": _made,
    "set": lambda secrets: secrets.set(NAME, b"bytes", description="again").created,
    "get": lambda secrets: secrets.get(NAME).reveal(),
    "get previous": _previous,
    "repeat": _repeated,
    "put": lambda secrets: secrets.put(NAME, "fourth").stages,
    "update": lambda secrets: secrets.update(NAME, description="new").name,
    "get many": lambda secrets: {one: found.reveal() for one, found in secrets.get_many([NAME]).found.items()},
    "describe": lambda secrets: secrets.describe(NAME).description,
    "versions": lambda secrets: len(secrets.versions(NAME)),
    "tag": lambda secrets: (secrets.tag(NAME, {"cost": "7"}), secrets.describe(NAME).tags),
    "untag": lambda secrets: (secrets.untag(NAME, ["team"]), secrets.describe(NAME).tags),
    "create empty": lambda secrets: secrets.create("app/empty").name,
    "half made": lambda secrets: secrets.create("app/half", "whole", description="d").created,
    "delete": lambda secrets: secrets.delete(NAME).name,
    "restore": lambda secrets: (secrets.restore(NAME).name, secrets.get(NAME).reveal()),
    "delete by force": lambda secrets: secrets.delete(NAME, force=True).name,
    "is gone": lambda secrets: secrets.get(NAME),
    "list": _listed,
    "list a folder": lambda secrets: sorted(one.name for one in secrets.iterate([Filter("name", "app/")])),
}


class LastCall:
    """A tracer that keeps the last call."""

    def begin(self, trace: CallTrace) -> Callable[[], object]:
        self.trace = trace
        return lambda: None

    @property
    def requests(self) -> int:
        """How many requests went to the server for it."""
        return sum(attempt.name == "GET" for _, attempts in self.trace.sendings for attempt in attempts)


def _followed(secrets: Secrets, last: LastCall) -> object:
    """What a round of subscriptions costs: the versions of all of them."""
    found = secrets.ask(CurrentVersions(["app/half", "app/empty", NAME]))
    return list(found.found), last.requests


def outcome(ask: Callable[[], object]) -> object:
    """The answer, or the code of the error."""
    try:
        return ask()
    except SecretsError as error:
        return error.code


def outcomes(openbao: OpenBaoDev, policy: str) -> dict[str, object]:
    """What each step comes to for a token with *policy*, in a mount of its own: an answer, or the code of an error."""
    mount = openbao.root.mount()
    token = openbao.root.make_token(openbao.root.policy(policy.replace('"secret/', f'"{mount}/')))
    vault = VaultSettings(addresses=(openbao.url,), token=token, mount=mount)
    # What a create leaves that ended between its two calls.
    openbao.root.write(f"{mount}/metadata/app/half", custom_metadata={"sa.v": f"1={'x' * 32}"})
    found: dict[str, object] = {}
    last = LastCall()
    with start(Settings(backend="vault", ttl_seconds=0, missing_ttl_seconds=0, vault=vault), tracer=last) as system:
        for step, ask in STEPS.items():
            found[step] = outcome(lambda ask=ask: ask(system.secrets))  # type: ignore[misc]
        found["follow"] = outcome(lambda: _followed(system.secrets, last))
    with start(Settings(backend="vault", vault=replace(vault, idempotency="cas"))) as system:
        found["without tokens"] = outcome(lambda: system.secrets.set("app/plain", "v").created)
    openbao.root.delete(f"sys/mounts/{mount}")
    return found


@pytest.fixture(scope="module")
def allowed(openbao: OpenBaoDev) -> dict[str, object]:
    return outcomes(openbao, POLICY)


def test_with_the_policy_each_operation_works(allowed: dict[str, object]) -> None:
    assert allowed == {
        "create": True,
        "set": False,
        "get": b"bytes",
        "get previous": "first",
        "repeat": (True, "third"),
        "put": ("AWSCURRENT",),
        "update": NAME,
        "get many": {NAME: "fourth"},
        "describe": "new",
        "versions": 2,
        "tag": (None, {"team": "web", "cost": "7"}),
        "untag": (None, {"cost": "7"}),
        "create empty": "app/empty",
        "half made": True,
        "delete": NAME,
        "restore": (NAME, "fourth"),
        "delete by force": NAME,
        "is gone": "not_found",
        "list": [("app/empty", None), ("app/half", "d")],
        "list a folder": ["app/empty", "app/half"],
        "follow": (["app/half"], 1),
        "without tokens": True,
    }


def capabilities() -> list[tuple[str, str]]:
    """The paths and capabilities of the policy, comments left out."""
    text = re.sub(r"#.*", "", POLICY)
    blocks = re.findall(r'path "([^"]*)" \{\s*capabilities = \[([^]]*)\]', text)
    return [(path, one) for path, listed in blocks for one in re.findall(r'"(\w+)"', listed)]


@pytest.mark.slow
@pytest.mark.parametrize("left_out", capabilities(), ids="-".join)
def test_each_line_of_the_policy_is_needed(
    left_out: tuple[str, str], openbao: OpenBaoDev, allowed: dict[str, object]
) -> None:
    rest = [one for one in capabilities() if one != left_out]
    blocks: dict[str, list[str]] = {}
    for path, one in rest:
        blocks.setdefault(path, []).append(f'"{one}"')
    policy = "\n".join(f'path "{path}" {{ capabilities = [{", ".join(all_)}] }}' for path, all_ in blocks.items())

    assert outcomes(openbao, policy) != allowed


def test_the_policy_is_for_the_names_that_it_says(openbao: OpenBaoDev) -> None:
    found = outcomes(openbao, POLICY.replace("/app/", "/other/"))

    assert {found[step] for step in ("create", "set", "get", "delete", "describe")} == {"access_denied"}


def test_the_example_of_a_configuration_logs_in_by_an_approle(
    openbao: OpenBaoDev, kv_mount: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, mount = openbao.root, f"approle-{kv_mount}"
    policy = admin.policy(POLICY.replace('"secret/', f'"{kv_mount}/'))
    admin.write(f"sys/auth/{mount}", type="approle")
    admin.write(f"auth/{mount}/role/web", token_policies=[policy])
    secret_id = tmp_path / "secret-id"
    secret_id.write_text(admin.write(f"auth/{mount}/role/web/secret-id")["data"]["secret_id"])
    text = (CONFIG / "vault.toml").read_text().replace("/run/secrets/vault-secret-id", str(secret_id))
    config = tmp_path / "vault.toml"
    config.write_text(text)
    for name, value in {
        "VAULT_ROLE_ID": admin.read(f"auth/{mount}/role/web/role-id")["role_id"],
        "SECRETS_ACTOR_VAULT__ADDRESSES": openbao.url,
        "SECRETS_ACTOR_VAULT__MOUNT": kv_mount,
        "SECRETS_ACTOR_VAULT__AUTH_MOUNT": mount,
    }.items():
        monkeypatch.setenv(name, value)

    with start(config) as system:
        system.secrets.set("app/db", "hunter2")
        assert system.secrets.get("app/db", refresh=True).reveal() == "hunter2"


def test_on_a_laptop_two_variables_are_enough(openbao: OpenBaoDev, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SECRETS_ACTOR_BACKEND": "vault",
        "VAULT_ADDR": openbao.url,
        "VAULT_TOKEN": openbao.token,
    }.items():
        monkeypatch.setenv(name, value)

    with start() as system:
        system.secrets.set("laptop/db", "hunter2")

        assert openbao.root.read("secret/data/laptop/db")["data"] == {"value": "hunter2"}
        system.secrets.delete("laptop/db", force=True)
