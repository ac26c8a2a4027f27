"""Names never lead out of the mount, and ARNs are the same everywhere."""

import posixpath
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.backends.vault.names import Mount, checked, common_folder, folder_of, is_sound
from secrets_actor.domain.errors import InvalidSecretName
from secrets_actor.domain.names import SecretId

SECRET = Mount("secret")
# Letters that a name may have, the dangerous ones often.
NAMES = st.text("./ab_+=@!-", min_size=1, max_size=20) | st.from_regex(r"[A-Za-z0-9/_+=.@!-]{1,60}", fullmatch=True)


@given(NAMES)
def test_a_name_is_refused_or_stays_in_its_room(name: str) -> None:
    if not is_sound(name):
        with pytest.raises(InvalidSecretName) as refused:
            SECRET.call_path("data", name)
        assert name not in str(refused.value) or len(name) < 3  # which may be a value in the wrong place
        return
    path = SECRET.call_path("data", name)

    assert posixpath.normpath(path) == path  # there is nothing left to resolve
    assert path.startswith("secret/data/")
    assert unquote(path) == f"secret/data/{name}"
    assert path.count("/") == name.count("/") + 2


@pytest.mark.parametrize(
    "name",
    ["..", "a/../b", "../../auth/token/lookup-self", "./a", "a/.", "a//b", "/a", "a/", "/", "a/../../sys/mounts"],
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    assert not is_sound(name)
    for ask in (lambda: SECRET.name_of(name), lambda: checked(name), lambda: SECRET.call_path("metadata", name)):
        with pytest.raises(InvalidSecretName, match="take another name"):
            ask()


@pytest.mark.parametrize("name", ["...", "a..b", ".a", "a.", "..a/b..", "a/b/c", "+=@!_-"])
def test_a_name_with_dots_of_another_kind_is_a_name(name: str) -> None:
    assert checked(name) == name


def test_each_segment_is_encoded_by_itself() -> None:
    assert SECRET.call_path("data", "a/b+c=d@e!f") == "secret/data/a/b%2Bc%3Dd%40e%21f"
    assert Mount("team/k v").call_path("data", "a") == "team/k%20v/data/a"
    assert SECRET.folder_path("metadata", "") == "secret/metadata/"
    assert SECRET.folder_path("metadata", "a/b+/") == "secret/metadata/a/b%2B/"
    with pytest.raises(InvalidSecretName):
        SECRET.folder_path("metadata", "a/../")


@given(NAMES.filter(is_sound), st.sampled_from(["secret", "Team/KV_2", "kv.v2"]), st.sampled_from([None, "ns/a"]))
def test_an_arn_is_one_and_leads_back_to_its_name(name: str, path: str, namespace: str | None) -> None:
    mount = Mount(path, namespace)
    arn = mount.arn(name)

    assert SecretId(arn).looks_whole
    assert mount.name_of(arn) == name
    assert mount.name_of(name) == name
    assert mount.name_of(arn[:-1] + ("a" if arn[-1] != "a" else "b")) is None
    if not SecretId(arn[:-7]).looks_whole:  # an ARN without suffix that ends like a whole one is taken for one
        assert mount.name_of(arn[:-7]) == name


def test_an_arn_tells_mounts_and_namespaces_apart() -> None:
    mounts = [SECRET, Mount("Secret"), Mount("secret", "a"), Mount("secret", "b"), Mount("kv")]

    assert len({mount.arn("db/password") for mount in mounts}) == len(mounts)
    # Programs keep ARNs: this one must stay.
    assert SECRET.arn("db/password") == "arn:vault:secretsmanager:secret:000000000000:secret:db/password-" + (
        SECRET.suffix("db/password")
    )
    assert SECRET.suffix("db/password") == "xrja8z"


def test_an_arn_of_another_store_means_no_secret_here() -> None:
    assert SECRET.name_of("arn:aws:secretsmanager:us-east-1:123456789012:secret:db/password-AbCdEf") is None
    assert SECRET.name_of(Mount("kv").arn("a")) is None


def test_an_arn_cannot_smuggle_a_name_in() -> None:
    with pytest.raises(InvalidSecretName):
        SECRET.name_of(f"{SECRET.arn_prefix}../../auth/token")
    assert SECRET.name_of(f"{SECRET.arn_prefix}a//b-AbCdEf") is None
    with pytest.raises(InvalidSecretName):
        SECRET.name_of(SECRET.arn("a//b"))


def test_a_mount_is_named_with_its_namespace() -> None:
    assert (SECRET.store_name, Mount("kv", "team").store_name) == (
        "the KV mount secret",
        "the KV mount kv of namespace team",
    )


@pytest.mark.parametrize(
    ("beginnings", "folder"),
    [
        ([], ""),
        (["app"], ""),
        ([""], ""),
        (["app/"], "app/"),
        (["app/db"], "app/"),
        (["app/a/x", "app/b/y"], "app/"),
        (["app/a/x", "app/a/y"], "app/a/"),
        (["app/one/", "app/on/"], "app/"),
        (["app/a", "app/a/b"], "app/"),
        (["app/a", "web/a"], ""),
        (["app/a", "b"], ""),
        (["/app/a"], ""),
        (["app/../a"], ""),
    ],
)
def test_the_folder_of_all_that_begins_so(beginnings: list[str], folder: str) -> None:
    assert common_folder(beginnings) == folder
    assert common_folder(reversed(beginnings)) == folder


@pytest.mark.parametrize(("name", "folder"), [("a", ""), ("app/a", "app/"), ("app/db/a", "app/db/")])
def test_the_folder_of_a_secret(name: str, folder: str) -> None:
    assert folder_of(name) == folder
