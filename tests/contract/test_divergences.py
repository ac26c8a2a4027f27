"""The table of divergences holds nothing that no test asks for, and nothing of ours."""

import re
from pathlib import Path

from tests.contract.backends import BACKENDS, DICT, FAKE, LOCAL
from tests.contract.divergences import DIVERGENCES

ASKED = re.compile(r'\.diverges\("([a-z0-9-]+)"\)')


def topics_asked_for() -> set[str]:
    sources = Path(__file__).parent.glob("test_*.py")
    return {topic for source in sources for topic in ASKED.findall(source.read_text())}


def test_every_topic_in_the_table_is_asserted_by_a_test_and_the_other_way_round() -> None:
    assert {topic for _, topic in DIVERGENCES} == topics_asked_for()


def test_no_store_of_ours_diverges_and_each_entry_says_both_sides() -> None:
    assert {where for where, _ in DIVERGENCES} <= set(BACKENDS) - {LOCAL, FAKE, DICT}
    assert all(known.instead and known.aws and known.instead != known.aws for known in DIVERGENCES.values())
