"""How calls find the node that answers them: against nodes that say what is seldom said."""

import base64
import json
import threading
import traceback
from contextlib import ExitStack
from typing import Any

import pytest

from secrets_actor import SecretValue
from secrets_actor.backends.vault.failures import CheckAndSetFailed
from secrets_actor.backends.vault.protocol import VaultAnswer, VaultCall
from secrets_actor.clock import now as clock_now
from secrets_actor.domain import errors
from secrets_actor.domain.tracing import Attempt
from tests.backends.vault.wire_rig import (
    FRESH,
    GET,
    LONG,
    SET,
    SLACK,
    TOKEN,
    ask,
    cluster_at,
    connected,
    failing,
    name_of,
    runner,
)
from tests.servers.behaviours import Answer, Behaviour, Hang, HangUp, Reset, half_body
from tests.servers.faulty import FaultyServer
from tests.servers.process import reserve
from tests.servers.vault_node import SEALED, UNDONE, VaultNode, asked, header, leader, redirect, refused, said

FOUND = said({"request_id": "id-1", "data": {"data": {"value": "v"}, "metadata": {"version": 1}}})
WRITTEN = said({"request_id": "id-2", "data": {"version": 2}})
STANDBY = {"GET kv/data/a": FOUND}


def index(value: int) -> str:
    return base64.b64encode(json.dumps({"cluster": "c", "value": str(value)}).encode()).decode()


def nodes(stack: ExitStack, *tables: dict[str, Any] | Behaviour) -> list[FaultyServer]:
    behaviours = [VaultNode(one) if isinstance(one, dict) else one for one in tables]
    return [stack.enter_context(FaultyServer(one)) for one in behaviours]


def urls(servers: list[FaultyServer]) -> list[str]:
    return [one.url for one in servers]


def nobody(stack: ExitStack) -> str:
    """A URL at which nobody listens."""
    held = stack.enter_context(reserve())
    return f"http://127.0.0.1:{held.getsockname()[1]}"


def outcomes(attempts: list[Attempt]) -> list[tuple[str, str | None]]:
    return [(one.outcome, one.origin) for one in attempts]


# --- one exchange -------------------------------------------------------------------------------------------------


def test_a_call_is_sent_with_its_headers_and_answered_with_its_object() -> None:
    with FaultyServer(VaultNode({"GET kv/data/a": FOUND, "POST kv/data/a": WRITTEN})) as server:
        with connected(server.url, namespace="team/a") as connection:
            attempts: list[Attempt] = []
            found = ask(connection, attempts=attempts)
            ask(connection, SET)
            ask(connection, VaultCall("PATCH", "kv/metadata/a", b"{}", writes=True, patch=True))
            ask(connection, VaultCall("DELETE", "kv/data/a", writes=True), token=None)

        sent = server.requests
        assert server.connections == 1
    assert found == VaultAnswer(200, {"request_id": "id-1", "data": found.body["data"]}, "id-1", name_of(server.url))
    assert outcomes(attempts) == [("ok", name_of(server.url))]
    assert [header(one, "X-Vault-Token") for one in sent] == [*["s.never-show-this"] * 3, None]
    assert {header(one, "X-Vault-Request") for one in sent} == {"true"}
    assert {header(one, "X-Vault-Namespace") for one in sent} == {"team/a"}
    assert {header(one, "X-Vault-Index") for one in sent} == {None}
    assert [header(one, "Content-Type") for one in sent] == [
        None,
        "application/json",
        "application/merge-patch+json",
        None,
    ]
    assert [header(one, "Content-Length") for one in sent] == [None, "36", "2", "0"]


@pytest.mark.parametrize("status", [200, 404])
def test_there_may_be_no_request_id_and_no_body(status: int) -> None:
    answer = said({"errors": []}, 404) if status == 404 else Answer(b"", 204)
    with FaultyServer(VaultNode({"*": answer})) as server, connected(server.url) as connection:
        found = ask(connection)
    assert (found.request_id, found.status) == (None, 404 if status == 404 else 204)


@pytest.mark.parametrize("token", ["a b", "a\nb", "ä", ""])
def test_what_is_no_token_is_not_sent(token: str) -> None:
    with FaultyServer(FOUND) as server, connected(server.url) as connection:
        wrong = SecretValue(token.encode() or b"\xff")
        with pytest.raises(errors.UnrecognizedClient, match="give it anew"):
            runner(connection, token=wrong)
        assert ask(connection).status == 200
        assert server.connections == 1


def test_a_token_may_be_given_as_bytes() -> None:
    with FaultyServer(FOUND) as server, connected(server.url) as connection:
        ask(connection, token=SecretValue(b"s.token"))
        assert header(server.requests[0], "X-Vault-Token") == "s.token"


def test_a_namespace_that_is_none_is_a_configuration_error() -> None:
    with pytest.raises(errors.ConfigurationError, match=r"^vault\.namespace: "):
        with connected("http://127.0.0.1:1", namespace="a b"):
            pass


# --- answers that are none ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(b"<html>never-show-this</html>", 200, "text/html"), errors.InvalidAnswer),
        (Answer(b'{"data":{"data":{"value":"never-show-this', 200), errors.InvalidAnswer),
        (Answer(b"[1]", 200), errors.InvalidAnswer),
        (Answer(b'{"a":' * 900 + b"1" + b"}" * 900, 200), errors.InvalidAnswer),
        (half_body({"data": "never-show-this"}), errors.BodyReadFailed),
        (HangUp(), errors.RequestFailed),
        (Reset(), errors.RequestFailed),
    ],
)
def test_an_answer_that_is_none_is_asked_for_again_over_another_connection(
    answer: Behaviour, kind: type[errors.SecretsError]
) -> None:
    with FaultyServer(answer, VaultNode({"*": FOUND})) as server, connected(server.url) as connection:
        attempts: list[Attempt] = []
        assert ask(connection, attempts=attempts).status == 200
        assert server.connections == 2
    assert outcomes(attempts)[0] == (kind.code, name_of(server.url))


def test_an_answer_that_stays_none_is_an_error_that_says_so() -> None:
    with FaultyServer(Answer(b"<html>", 200, "text/html")) as server, connected(server.url) as connection:
        error = failing(connection, within=0.3)
    assert type(error) is errors.InvalidAnswer
    assert "check vault.addresses" in str(error)
    assert (error.origin, error.retryable) == (name_of(server.url), True)


def test_an_answer_that_is_too_long_is_not_read_to_its_end() -> None:
    with FaultyServer(Answer(b"{" + b" " * 9 * 1024 * 1024 + b"}", 200)) as server:
        with connected(server.url) as connection:
            error = failing(connection, within=1.0)
    assert type(error) is errors.InvalidAnswer


@pytest.mark.parametrize("status", [301, 307, 404])
def test_a_page_of_something_else_is_final(status: int) -> None:
    with FaultyServer(Answer(b"<html>", status, "text/html")) as server, connected(server.url) as connection:
        error = failing(connection)
        assert len(server.requests) == 1
    assert (type(error), error.retryable) == (errors.InvalidAnswer, False)


# --- refusals -----------------------------------------------------------------------------------------------------


def test_a_wrong_check_and_set_is_told_to_the_operation() -> None:
    wrong = refused(400, "check-and-set parameter did not match the current version")
    with FaultyServer(VaultNode({"*": wrong})) as server, connected(server.url) as connection:
        one = runner(connection)
        with pytest.raises(CheckAndSetFailed):
            one.run(SET)
        assert (one.in_doubt, len(server.requests)) == (False, 1)


def test_a_used_up_quota_is_waited_for_a_few_times() -> None:
    over = refused(429, 'request path "kv/data/a": rate limit quota exceeded')
    with ExitStack() as stack:
        servers = nodes(stack, {"*": [over, FOUND]}, STANDBY)
        with connected(*urls(servers)) as connection:
            assert ask(connection).status == 200
            assert failing_with(over) is errors.Throttled
        assert [len(one.requests) for one in servers] == [2, 0]


def failing_with(answer: Answer) -> type[errors.SecretsError]:
    with FaultyServer(VaultNode({"*": answer})) as server, connected(server.url) as connection:
        return type(failing(connection, within=0.2))


# --- why a token is refused ---------------------------------------------------------------------------------------

BARE = "permission denied"
POLICY = "1 error occurred:\n\t* permission denied\n\n"
AT_VAULT = "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"
LOOKUP = "GET auth/token/lookup-self"


@pytest.mark.parametrize(
    ("words", "lookup", "kind", "asks"),
    [
        (BARE, refused(403, BARE), errors.ExpiredToken, True),
        (BARE, said({"data": {"ttl": 5}}), errors.AccessDenied, True),
        (BARE, refused(403, POLICY), errors.AccessDenied, True),
        (BARE, SEALED, errors.AccessDenied, True),
        (AT_VAULT, refused(403, AT_VAULT), errors.ExpiredToken, True),
        (POLICY, SEALED, errors.AccessDenied, False),
    ],
)
def test_a_403_is_looked_into_where_its_words_do_not_tell(
    words: str, lookup: Answer, kind: type[errors.SecretsError], asks: bool
) -> None:
    with FaultyServer(VaultNode({"*": refused(403, words), LOOKUP: lookup})) as server:
        with connected(server.url) as connection:
            assert type(failing(connection)) is kind
        assert [asked(one) for one in server.requests] == ["GET kv/data/a", *[LOOKUP] * asks]


def test_the_verdict_on_a_token_is_remembered_by_all_connections() -> None:
    table = {"*": refused(403, BARE), LOOKUP: [refused(403, BARE), said({"data": {}}), SEALED]}
    with FaultyServer(VaultNode(table)) as server:
        cluster = cluster_at(server.url)
        with connected(cluster=cluster) as one, connected(cluster=cluster) as other:
            dead, alive = SecretValue("dead"), SecretValue("alive")
            kinds = [type(failing(each, token=token)) for token in (dead, alive) for each in (one, other)]
        assert [asked(one) for one in server.requests].count(LOOKUP) == 2
    assert kinds == [errors.ExpiredToken] * 2 + [errors.AccessDenied] * 2


def test_a_token_that_was_alive_is_asked_about_anew_after_a_while_and_a_dead_one_stays_dead() -> None:
    cluster, other = cluster_at("http://127.0.0.1:1"), SecretValue("s.another")
    cluster.found(TOKEN, alive=True, now=100.0)
    assert [cluster.is_alive(TOKEN, now) for now in (100.0, 109.0, 111.0)] == [True, True, None]
    cluster.found(TOKEN, alive=False, now=112.0)
    assert [cluster.is_alive(one, 10_000.0) for one in (TOKEN, other)] == [False, None]


def test_a_lookup_that_is_refused_says_itself_that_the_token_is_dead() -> None:
    with FaultyServer(VaultNode({"*": refused(403, BARE)})) as server, connected(server.url) as connection:
        assert type(failing(connection, VaultCall("GET", "auth/token/lookup-self"))) is errors.ExpiredToken
        assert len(server.requests) == 1


def test_a_login_has_no_token_to_look_up() -> None:
    login = VaultCall("POST", "auth/kubernetes/login", b"{}", writes=True)
    with FaultyServer(VaultNode({"*": refused(403, BARE)})) as server, connected(server.url) as connection:
        assert type(failing(connection, login, token=None)) is errors.AccessDenied
        assert len(server.requests) == 1


# --- several nodes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [Reset(), SEALED, UNDONE, refused(502), Answer(b"x", 200)], ids=str)
def test_a_node_that_fails_is_left_for_the_next_at_once(first: Behaviour) -> None:
    with ExitStack() as stack:
        servers = nodes(stack, first, STANDBY)
        with connected(*urls(servers)) as connection:
            attempts: list[Attempt] = []
            found = ask(connection, attempts=attempts)
    assert found.origin == name_of(servers[1].url)
    assert [one.origin for one in attempts] == [name_of(one.url) for one in servers]
    assert attempts[1].began - attempts[0].ended < SLACK / 10


def test_a_node_at_which_nobody_listens_is_left_for_the_next() -> None:
    with ExitStack() as stack:
        gone, servers = nobody(stack), nodes(stack, {"POST kv/data/a": WRITTEN})
        with connected(gone, servers[0].url) as connection:
            one = runner(connection)
            assert one.run(SET).status == 200
            assert not one.in_doubt
            one.run(SET)
            attempts: list[Attempt] = []
            ask(connection, SET, attempts=attempts, avoid={name_of(gone)})
    assert [attempt.origin for attempt in attempts] == [name_of(servers[0].url)]


def test_within_an_operation_a_node_without_an_answer_is_asked_last_from_then_on() -> None:
    with ExitStack() as stack:
        servers = nodes(stack, Reset(), STANDBY)
        with connected(*urls(servers)) as connection:
            one = runner(connection)
            for _ in range(3):
                one.run(GET)
        assert [len(one.requests) for one in servers] == [1, 3]


def test_a_node_that_hangs_leaves_time_for_the_others() -> None:
    with ExitStack() as stack:
        servers = nodes(stack, Hang(), Hang(), STANDBY)
        with connected(*urls(servers), timeout=30.0) as connection:
            started = clock_now()
            assert ask(connection, within=1.0).status == 200
            assert clock_now() - started < 1.0


def test_an_attempt_has_a_time_of_its_own() -> None:
    with ExitStack() as stack:
        servers = nodes(stack, Hang(), STANDBY)
        with connected(*urls(servers), timeout=0.1) as connection:
            started = clock_now()
            assert ask(connection).status == 200
            assert clock_now() - started < SLACK


def test_nodes_to_avoid_are_asked_last() -> None:
    with ExitStack() as stack:
        servers = nodes(stack, STANDBY, {"*": SEALED})
        with connected(*urls(servers)) as connection:
            attempts: list[Attempt] = []
            ask(connection, avoid={name_of(servers[0].url)}, attempts=attempts)
    assert outcomes(attempts) == [("store_failure", name_of(servers[1].url)), ("ok", name_of(servers[0].url))]


def test_if_all_are_sealed_the_error_says_so() -> None:
    with ExitStack() as stack:
        servers = nodes(stack, SEALED, SEALED)
        with connected(*urls(servers)) as connection:
            error = failing(connection, within=0.3)
    assert "all nodes of vault.addresses are sealed" in str(error)


# --- elections ----------------------------------------------------------------------------------------------------


def test_a_write_waits_for_the_election_and_is_in_doubt_until_then() -> None:
    with ExitStack() as stack:
        gone = nobody(stack)
        away = redirect(f"{gone}/v1/kv/data/a")
        servers = nodes(
            stack, {"POST kv/data/a": [away, away, UNDONE, away]}, {"POST kv/data/a": [away, away, UNDONE, WRITTEN]}
        )
        with connected(gone, *urls(servers)) as connection:
            attempts: list[Attempt] = []
            one = runner(connection, attempts=attempts)
            assert one.run(SET).origin == name_of(servers[1].url)
            assert one.in_doubt
    met = {outcome for outcome, _ in outcomes(attempts)}
    assert met == {"connection_failed", "no_active_node", "ok"}


def test_a_redirect_to_a_node_that_is_configured_is_where_the_next_attempt_goes() -> None:
    with ExitStack() as stack:
        active, bystander = nodes(stack, {"POST kv/data/a": WRITTEN}, STANDBY)
        (standby,) = nodes(stack, {"POST kv/data/a": redirect(f"{active.url}/v1/kv/data/a")})
        with connected(standby.url, bystander.url, active.url) as connection:
            for _ in range(2):
                assert ask(connection, SET).origin == name_of(active.url)
            assert len(bystander.requests) == 0
            assert len(standby.requests) == 1, "the next write goes to the active node itself"
            ask(connection, SET, avoid={name_of(active.url)})
            assert len(standby.requests) == 2


@pytest.mark.parametrize("status", [307, 308])
def test_no_token_goes_to_a_server_that_is_not_configured(status: int) -> None:
    with ExitStack() as stack:
        (stranger,) = nodes(stack, {"*": FOUND})
        (standby,) = nodes(stack, {"*": redirect(f"{stranger.url}/v1/kv/data/a", status)})
        with connected(standby.url) as connection:
            error = failing(connection, SET, within=0.3)
        assert stranger.connections == 0
    assert (type(error), error.origin) == (errors.NoActiveNode, name_of(standby.url))
    assert "among vault.addresses" in str(error)


def test_a_write_without_an_active_node_ends_at_its_deadline() -> None:
    with ExitStack() as stack:
        servers = nodes(stack, {"*": UNDONE}, {"*": UNDONE})
        with connected(*urls(servers)) as connection:
            started = clock_now()
            error = failing(connection, SET, within=0.5)
            assert 0.1 < clock_now() - started < 0.5
    assert (type(error), error.retryable) == (errors.NoActiveNode, True)


def test_a_write_that_hangs_says_nothing_against_a_node_that_may_have_passed_it_on() -> None:
    with ExitStack() as stack:
        servers = nodes(stack, Hang(), Hang())
        with connected(*urls(servers), timeout=0.1) as connection:
            attempts: list[Attempt] = []
            error = failing(connection, SET, within=0.5, attempts=attempts)
            read = failing(connection, GET, within=0.5)
    assert (type(error), error.origin) == (errors.BackendTimeout, None)
    assert {origin for _, origin in outcomes(attempts)} == {None}
    assert type(read) is errors.BackendTimeout
    assert read.origin in [name_of(one.url) for one in servers]


def test_the_active_node_itself_answers_for_a_write_that_hangs() -> None:
    with ExitStack() as stack:
        (active,) = nodes(stack, {"POST kv/data/a": [WRITTEN, Hang()]})
        (standby,) = nodes(stack, {"POST kv/data/a": [redirect(active.url), UNDONE]})
        with connected(standby.url, active.url, timeout=0.1) as connection:
            ask(connection, SET)
            attempts: list[Attempt] = []
            failing(connection, SET, within=0.3, attempts=attempts)
    assert outcomes(attempts)[0] == ("backend_timeout", name_of(active.url))


# --- reads that have to be fresh ----------------------------------------------------------------------------------


def test_a_fresh_read_is_the_active_nodes() -> None:
    with ExitStack() as stack:
        (active,) = nodes(stack, {"GET sys/leader": leader(is_self=True), "GET kv/data/a": FOUND})
        (standby,) = nodes(stack, {"GET sys/leader": leader(address=active.url), **STANDBY})
        with connected(standby.url, active.url) as connection:
            assert ask(connection, FRESH).origin == name_of(active.url)
            one = runner(connection)
            for _ in range(2):
                one.run(FRESH)
            assert ask(connection).origin == name_of(standby.url)
        # Each operation asks the node whether it still is the active one, and only once.
        assert [asked(one) for one in active.requests] == [
            *["GET sys/leader", "GET kv/data/a"] * 2,
            "GET kv/data/a",
        ]
        assert [asked(one) for one in standby.requests] == ["GET sys/leader", "GET kv/data/a"]


def test_who_is_active_is_asked_without_token_namespace_and_index() -> None:
    with ExitStack() as stack:
        table = {"GET sys/leader": leader(is_self=True), "POST kv/data/a": said({}, X_Vault_Index=index(7)), **STANDBY}
        servers = nodes(stack, table, {})
        with connected(*urls(servers), namespace="team") as connection:
            ask(connection, SET)
            ask(connection, FRESH)
        _, question, read = servers[0].requests
    names = ("X-Vault-Token", "X-Vault-Namespace", "X-Vault-Index")
    assert [header(question, name) for name in names] == [None] * 3
    assert None not in [header(read, name) for name in names]


def test_within_an_operation_a_node_that_hangs_is_not_asked_again_though_it_is_named_as_the_active_one() -> None:
    with ExitStack() as stack:
        (stopped,) = nodes(stack, Hang())
        away = redirect(stopped.url)
        (standby,) = nodes(stack, {"POST kv/data/a": [away, away, WRITTEN]})
        with connected(standby.url, stopped.url, timeout=0.1) as connection:
            one = runner(connection)
            for _ in range(2):
                assert one.run(SET).status == 200
            ask(connection, SET)  # the next operation does not begin there
        assert len(stopped.requests) == 1


def test_an_active_node_that_hung_for_a_moment_is_found_by_the_same_operation() -> None:
    with ExitStack() as stack:
        (active,) = nodes(stack, {"GET sys/leader": leader(is_self=True), "GET kv/data/a": [Hang(), FOUND]})
        (standby,) = nodes(stack, {"GET sys/leader": leader(address=active.url)})
        with connected(standby.url, active.url, timeout=0.1) as connection:
            assert ask(connection, FRESH).origin == name_of(active.url)


def test_a_node_that_is_no_longer_active_is_not_believed() -> None:
    with ExitStack() as stack:
        old = VaultNode({"GET sys/leader": [leader(is_self=True), leader()], "GET kv/data/a": FOUND})
        new = VaultNode({"GET sys/leader": [leader(), leader(), leader(is_self=True)], "GET kv/data/a": FOUND})
        servers = nodes(stack, old, new)
        with connected(*urls(servers)) as connection:
            assert ask(connection, FRESH).origin == name_of(servers[0].url)
            assert ask(connection, FRESH).origin == name_of(servers[1].url)


def test_a_node_that_was_active_a_moment_ago_is_asked_anew_in_the_same_operation() -> None:
    with ExitStack() as stack:
        old = {
            "GET sys/leader": [leader(is_self=True), leader()],
            "GET kv/data/a": FOUND,
            "POST kv/data/a": refused(500, "node is not active"),
        }
        new = {"GET sys/leader": leader(is_self=True), "GET kv/data/a": FOUND, "POST kv/data/a": WRITTEN}
        servers = nodes(stack, old, new)
        with connected(*urls(servers)) as connection:
            one = runner(connection)
            assert [one.run(call).origin for call in (FRESH, SET, FRESH)] == [
                name_of(servers[which].url) for which in (0, 1, 1)
            ]


def test_a_server_that_was_alone_and_speaks_of_an_election_is_alone_no_more() -> None:
    with ExitStack() as stack:
        alone = said({"ha_enabled": False})
        first = {"GET sys/leader": [alone, leader()], "GET kv/data/a": FOUND, "POST kv/data/a": UNDONE}
        second = {"GET sys/leader": leader(is_self=True), "GET kv/data/a": FOUND, "POST kv/data/a": WRITTEN}
        servers = nodes(stack, first, second)
        with connected(*urls(servers)) as connection:
            assert [ask(connection, call).origin for call in (FRESH, SET, FRESH)] == [
                name_of(servers[which].url) for which in (0, 1, 1)
            ]


def test_without_an_active_node_a_fresh_read_fails_and_others_do_not() -> None:
    with ExitStack() as stack:
        gone = nobody(stack)
        standby = {"GET sys/leader": leader(address=gone), **STANDBY}
        servers = nodes(stack, standby, standby)
        with connected(*urls(servers), gone) as connection:
            assert type(failing(connection, FRESH, within=0.3)) is errors.NoActiveNode
            assert ask(connection).status == 200


def test_if_the_active_node_is_not_configured_any_node_is_as_good() -> None:
    elsewhere = {"GET sys/leader": leader(address="https://10.9.9.9:8200"), **STANDBY}
    with ExitStack() as stack:
        servers = nodes(stack, elsewhere, elsewhere)
        with connected(*urls(servers)) as connection:
            assert ask(connection, FRESH).status == 200


@pytest.mark.parametrize(
    "said_by_leader", [SEALED, Answer(b"<html>", 200), Answer(b"<html>", 404), said({}, 404)], ids=str
)
def test_a_node_that_cannot_say_who_is_active_is_left_for_the_next(said_by_leader: Answer) -> None:
    with ExitStack() as stack:
        odd = {"GET sys/leader": said_by_leader, **STANDBY}
        servers = nodes(stack, odd, {"GET sys/leader": leader(is_self=True), "GET kv/data/a": FOUND})
        with connected(*urls(servers)) as connection:
            assert ask(connection, FRESH).origin == name_of(servers[1].url)


def test_who_has_one_address_or_one_node_asks_nobody_else() -> None:
    with ExitStack() as stack:
        servers = nodes(stack, {"GET sys/leader": said({"ha_enabled": False}), "*": FOUND}, {})
        with connected(servers[0].url) as connection:
            ask(connection, FRESH)
        assert [asked(one) for one in servers[0].requests] == ["GET kv/data/a"]
        with connected(*urls(servers)) as connection:
            ask(connection, FRESH)
            ask(connection, FRESH)
        assert [asked(one) for one in servers[0].requests][1:] == ["GET sys/leader", *["GET kv/data/a"] * 2]


# --- our own writes -----------------------------------------------------------------------------------------------


def test_the_index_of_the_last_write_goes_with_each_read_of_all_connections() -> None:
    answers = [
        said({"data": {}}, X_Vault_Index=index(7)),
        said({"data": {}}, X_Vault_Index=index(6)),
    ]
    with FaultyServer(VaultNode({"POST kv/data/a": answers, "*": FOUND})) as server:
        cluster = cluster_at(server.url)
        with connected(cluster=cluster) as one, connected(cluster=cluster) as other:
            ask(one, SET)
            ask(one, SET)
            ask(other)
        first, second, read = server.requests
    assert [header(one, "X-Vault-Index") for one in (first, second, read)] == [None, None, index(7)]
    assert header(read, "X-Vault-Inconsistent") == "forward-active-node"


def test_a_read_that_another_cluster_answers_does_not_take_the_place_of_our_last_write() -> None:
    other_cluster = base64.b64encode(b'{"cluster": "d", "value": "900"}').decode()
    read = said({"data": {}}, X_Vault_Index=other_cluster)
    written = said({"data": {}}, X_Vault_Index=index(7))
    with FaultyServer(VaultNode({"POST kv/data/a": written, "GET kv/data/a": read})) as server:
        with connected(server.url) as connection:
            for call in (SET, GET, GET):
                ask(connection, call)
        assert [header(one, "X-Vault-Index") for one in server.requests[1:]] == [index(7), index(7)]


def test_an_index_that_the_server_cannot_read_is_forgotten() -> None:
    odd = refused(400, 'failed to decode "X-Vault-Index"')
    table = {"POST kv/data/a": said({}, X_Vault_Index="?"), "GET kv/data/a": [odd, FOUND]}
    with FaultyServer(VaultNode(table)) as server, connected(server.url) as connection:
        ask(connection, SET)
        for _ in range(2):
            assert ask(connection).status == 200
        assert [header(one, "X-Vault-Index") for one in server.requests] == [None, "?", None, None]


@pytest.mark.parametrize("odd", ["\xe4", "a\tb"])
def test_an_index_that_no_header_can_hold_is_none(odd: str) -> None:
    table = {"POST kv/data/a": said({}, X_Vault_Index=odd), "GET kv/data/a": FOUND}
    with FaultyServer(VaultNode(table)) as server, connected(server.url) as connection:
        ask(connection, SET)
        ask(connection)
        assert header(server.requests[1], "X-Vault-Index") is None


@pytest.mark.parametrize(
    "behind",
    [refused(412, "required index state not present"), refused(429, Retry_After="1")],
    ids=["Vault", "OpenBao"],
)
def test_a_node_that_is_behind_is_left_for_the_active_one(behind: Answer) -> None:
    with ExitStack() as stack:
        (active,) = nodes(stack, {"POST kv/data/a": said({}, X_Vault_Index=index(7)), "GET kv/data/a": FOUND})
        (standby,) = nodes(stack, {"POST kv/data/a": redirect(active.url), "GET kv/data/a": behind})
        with connected(standby.url, active.url) as connection:
            ask(connection, SET)
            assert ask(connection).origin == name_of(active.url)


def test_an_answer_that_is_older_than_our_last_write_is_none() -> None:
    """A node that was stopped while it was active takes itself for active when it goes on, and compares nothing."""
    old, new = said({"data": "old"}, X_Vault_Index=index(60)), said({"data": "new"}, X_Vault_Index=index(65))
    with ExitStack() as stack:
        (active,) = nodes(stack, {"POST kv/data/a": said({}, X_Vault_Index=index(65)), "GET kv/data/a": new})
        (stopped,) = nodes(stack, {"POST kv/data/a": redirect(active.url), "GET kv/data/a": old})
        with connected(stopped.url, active.url) as connection:
            assert ask(connection).body == {"data": "old"}  # nothing is known of a later write yet
            ask(connection, SET)
            assert ask(connection).body == {"data": "new"}


def test_a_cluster_that_stays_behind_is_a_failure_of_the_store() -> None:
    with FaultyServer(VaultNode({"*": refused(412)})) as server, connected(server.url) as connection:
        assert type(failing(connection, within=0.3)) is errors.StoreFailure


# --- the end of a connection --------------------------------------------------------------------------------------


@pytest.mark.parametrize("node", [Hang(), UNDONE], ids=["a request", "a pause"])
def test_close_ends_what_is_under_way_and_nothing_follows(node: Behaviour) -> None:
    with FaultyServer(node) as server, connected(server.url, timeout=LONG) as connection:
        caught: list[errors.SecretsError] = []
        thread = threading.Thread(target=lambda: caught.append(failing(connection, SET)))
        thread.start()
        server.wait_for_requests(1 if isinstance(node, Hang) else 4)
        started = clock_now()
        for _ in range(2):
            connection.close()
        thread.join(LONG)
        assert clock_now() - started < SLACK
        assert connection.is_closed
        assert isinstance(caught[0], errors.ConnectionFailed | errors.RequestFailed)
        assert "closed" in repr(connection)
        before = server.connections
        assert type(failing(connection)) is errors.ConnectionFailed
        assert server.connections == before


def test_a_closed_connection_connects_to_no_node_any_more() -> None:
    with FaultyServer(VaultNode({"*": FOUND})) as server, connected(server.url) as connection:
        connection.close()
        assert type(failing(connection)) is errors.ConnectionFailed
        assert server.connections == 0


def test_an_error_brings_no_frame_of_an_attempt_along() -> None:
    with FaultyServer(Reset()) as server, connected(server.url) as connection:
        error = failing(connection, SET, within=0.2)
    frames = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert any("vault" in one for one in frames)
    assert not any("backends/http" in one for one in frames)


def test_no_repr_shows_the_token() -> None:
    with connected("http://127.0.0.1:1") as connection:
        one = runner(connection)
        shown = f"{connection!r} {one!r} {connection.cluster!r}"
    assert TOKEN.reveal() not in shown
