"""The package keyring with a key ring in a file of this test's."""

from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyrings.alt.file import PlaintextKeyring


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[PlaintextKeyring]:
    """A real key ring of keyring's: a file, sealed by nothing."""
    before = keyring.get_keyring()
    made = PlaintextKeyring()
    made.file_path = str(tmp_path / "ring" / "keyring.cfg")
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)
