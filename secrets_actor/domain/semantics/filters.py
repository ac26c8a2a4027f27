"""Which secrets a filter leaves. PURE.

Source: AWS's service model, ListSecrets `Filters`: one of a filter's values must fit, and all filters. A name, tag key,
tag value, region and service fit a value that they begin with, as written. `all` breaks a value into words, each of
which some word of what is known of the secret must begin with, in any case of letters. A description is told to be
matched by its beginning in any case; what moto's authors found by trying is that it is matched as `all` is, which is
that and more.

What we read out of AWS's silence: `!` leaves those that the rest of the value does not fit, also for having no such
attribute; a value without a letter or digit fits nothing where words are looked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from secrets_actor.domain.operations import Filter, FilterKey
from secrets_actor.domain.semantics.entry import Entry

_WORD: Final = re.compile(r"[^\W_]+")
# Where a word begins: after what is no letter or digit, and at a capital after a small letter.
_BEGINNING: Final = re.compile(r"(?<![^\W_])[^\W_]|(?<=[a-z])[A-Z]")


def fits(entry: Entry, filters: Iterable[Filter]) -> bool:
    """Whether all *filters* leave the secret."""
    return all(any(_fits(entry, one.key, value) for value in one.values) for one in filters)


def _fits(entry: Entry, key: FilterKey, value: str) -> bool:
    texts = [text for text in _ATTRIBUTES[key](entry) if text is not None]
    wanted = value.removeprefix("!")
    if key in (FilterKey.ALL, FilterKey.DESCRIPTION):
        found = _has_words(texts, wanted)
    else:
        found = any(text.startswith(wanted) for text in texts)
    return found is not value.startswith("!")


def _has_words(texts: list[str], wanted: str) -> bool:
    words = [word.lower() for word in _WORD.findall(wanted)]
    beginnings = [text[found.start() :].lower() for text in texts for found in _BEGINNING.finditer(text)]
    return bool(words) and all(any(one.startswith(word) for one in beginnings) for word in words)


def _nothing(_entry: Entry) -> Iterable[str | None]:
    return ()


_ATTRIBUTES: Final[Mapping[FilterKey, Callable[[Entry], Iterable[str | None]]]] = {
    FilterKey.NAME: lambda entry: (entry.name,),
    FilterKey.DESCRIPTION: lambda entry: (entry.description,),
    FilterKey.TAG_KEY: lambda entry: entry.tags,
    FilterKey.TAG_VALUE: lambda entry: entry.tags.values(),
    # No secret of ours is a copy, or another service's.
    FilterKey.PRIMARY_REGION: _nothing,
    FilterKey.OWNING_SERVICE: _nothing,
    FilterKey.ALL: lambda entry: (entry.name, entry.description, *entry.tags, *entry.tags.values()),
}
