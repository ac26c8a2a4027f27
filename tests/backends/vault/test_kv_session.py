"""The questions of one operation, and the pauses between its looks. On a real OpenBao."""

from secrets_actor.backends.vault.kv_session import LONGEST_OVERTAKEN, OVERTAKEN, KvSession, KvStore
from secrets_actor.backends.vault.names import Mount
from secrets_actor.backends.vault.writes import carry_out
from secrets_actor.domain.operations import Set
from secrets_actor.domain.secret import SecretValue
from tests.backends.vault.wire_rig import connected, runner
from tests.contract.store import new_token
from tests.servers.faulty import FaultyServer
from tests.servers.meddler import Meddler
from tests.servers.openbao import OpenBaoDev

TIMES = 7


def test_a_set_that_others_overtake_waits_longer_each_time_and_at_random(openbao: OpenBaoDev, kv_mount: str) -> None:
    meddler, pauses = Meddler(openbao.node.port), list[float]()
    for number in range(TIMES):
        theirs = {"value": f"theirs {number}"}
        meddler.at(
            f"POST {kv_mount}/data/",
            first=lambda theirs=theirs: openbao.root.write(f"{kv_mount}/data/a", data=theirs),  # type: ignore[misc]
        )
    store = KvStore(Mount(kv_mount), recovery_window=7)

    with FaultyServer(meddler) as server, connected(server.url) as connection:
        asker = runner(connection, token=SecretValue(openbao.token))
        carry_out(KvSession(store, asker, pauses.append, repeated=False), Set("a", "ours", new_token()))

    ceilings = [min(OVERTAKEN * 2**number, LONGEST_OVERTAKEN) for number in range(TIMES)]
    assert openbao.root.read(f"{kv_mount}/metadata/a")["current_version"] == TIMES + 1
    assert len(pauses) == TIMES == len(set(pauses))
    assert all(0 <= pause <= ceiling for pause, ceiling in zip(pauses, ceilings, strict=True))
    assert max(pauses) > OVERTAKEN, "they grow"
