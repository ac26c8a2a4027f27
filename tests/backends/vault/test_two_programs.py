"""Two programs that set the same secrets at the same time: each set is one version, as if they had come in turn."""

import contextlib
from pathlib import Path

from tests.backends.vault.crowd import Crowd, system_on
from tests.servers.openbao import OpenBaoDev


def test_each_set_of_two_programs_to_one_secret_is_one_version(
    openbao: OpenBaoDev, kv_mount: str, tmp_path: Path
) -> None:
    openbao.root.write(f"{kv_mount}/config", max_versions=10_000)
    with contextlib.ExitStack() as stack:
        systems = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            systems.append(stack.enter_context(system_on([openbao.url], kv_mount, openbao.token, tmp_path / name)))
        with Crowd(systems, writers=8, readers=2, pace=0.0) as crowd:
            crowd.work_on(300)

    assert crowd.judge(openbao.root, kv_mount) == []
    assert crowd.book.failed_sets.total() == crowd.book.failed_reads.total() == 0
