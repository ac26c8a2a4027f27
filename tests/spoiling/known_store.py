"""A store whose contents are known, and what a program sees of it: each answer is right, or a typed error."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.backends.local.keys.key_file import KEY_NAME, KeyFile
from secrets_actor.backends.local.upkeep.verify import verify
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.errors import SecretNotFound, SecretsError
from secrets_actor.domain.operations import (
    Delete,
    Describe,
    Get,
    GetMany,
    List,
    ListVersions,
    MoveStage,
    Operation,
    Put,
    Set,
    Tag,
)
from secrets_actor.domain.ports import Backend, CallContext

T = TypeVar("T")

SECONDS: Final = 20.0
SECRETS: Final = 24
NEW, MISSING = "new/", "never/there"


def known_backend(folder: Path) -> Backend:
    """A connection to the store."""
    return local_backend_factory(path=folder, recovery_window=30).connect()


def ask(backend: Backend, operation: Operation[T]) -> T:
    """The answer's value."""
    return backend.perform(operation, CallContext(clock_now() + SECONDS)).value


@dataclass(slots=True)
class Known:
    """What a secret is: its values by version id, the oldest first; labels; and what else is told of it."""

    values: dict[str, str | bytes] = field(default_factory=dict)
    stages: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    deleted: bool = False

    def add(self, version_id: str, value: str | bytes, *labels: str) -> None:
        """A version, current unless it has other *labels*."""
        self.values[version_id] = value
        for label in labels or ("AWSCURRENT",):
            if label == "AWSCURRENT" and "AWSCURRENT" in self.stages:
                self.stages["AWSPREVIOUS"] = self.stages["AWSCURRENT"]
            self.stages[label] = version_id


def fill(backend: Backend, secrets: int) -> dict[str, Known]:
    """Fill an empty store with so many secrets of all kinds, and return what is in it."""
    made: dict[str, Known] = {}
    for number in range(secrets):
        name, known = f"known/{number}", Known()
        value: str | bytes = f"{number}:" + "v" * (20 + number * 7)
        if number % 8 == 3:
            value = bytes([number % 256]) * 9000  # on pages of its own
        known.description, known.tags = ("about it" if number % 2 else None), ({"team": "a"} if number % 3 else {})
        token = f"{number:032}"
        ask(backend, Set(name, value, token=token, description=known.description, tags=known.tags))
        known.add(token, value)
        made[name] = known
    for turn in range(3):
        for number in range(0, secrets, 5):
            name, token, value = f"known/{number}", f"{turn:016}{number:016}-later", f"later {turn} of {number}"
            ask(backend, Set(name, value, token=token))
            made[name].add(token, value)
    for number in range(0, secrets, 6):
        name, token = f"known/{number}", f"{number:032}-blue"
        ask(backend, Put(name, "staged", token=token, stages=("blue",)))
        made[name].add(token, "staged", "blue")
    for number in range(2, secrets, 9):
        ask(backend, Delete(f"known/{number}"))
        made[f"known/{number}"].deleted = True
    return made


def change(backend: Backend, made: dict[str, Known], step: Any, tag: str) -> None:
    """Write here and there; *step* runs each write, and says whether it was done. *tag* tells the runs apart."""
    for turn, name in enumerate([*list(made)[:: max(1, len(made) // 6)], NEW + tag]):
        known, token = made.get(name), f"{turn:032}-{tag}"
        if known is None:
            if step(name, Set(name, "brand new", token=token)):
                made[name] = Known()
                made[name].add(token, "brand new")
        elif known.deleted:
            continue
        elif turn % 3 == 2:
            if step(name, MoveStage(name, tag, to=known.stages["AWSCURRENT"])):
                known.stages[tag] = known.stages["AWSCURRENT"]
        elif turn % 3 == 1 and step(name, Tag(name, {"new": tag})):
            known.tags = {**known.tags, "new": tag}
        elif step(name, Set(name, f"changed {tag}", token=token)):
            known.add(token, f"changed {tag}")


@dataclass(slots=True)
class Seen:
    """What came of all questions: how many answers were right, which errors there were, and what was wrong."""

    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    good: set[str] = field(default_factory=set)  # questions that were answered right
    refused: set[str] = field(default_factory=set)

    def judge(self, question: str, answer: object, right: object) -> None:
        """Note an answer."""
        if answer == right:
            self.answers["right"] += 1
            self.good.add(question)
        else:
            self.wrong.append(f"{question}: {answer!r:.200} and not {right!r:.200}")

    def error(self, question: str, error: BaseException) -> None:
        """Note an error; `SecretNotFound` is a wrong answer for what is there."""
        if not isinstance(error, SecretsError) or isinstance(error, SecretNotFound):
            self.wrong.append(f"{question}: {type(error).__name__}: {error}"[:400])
            return
        self.answers[type(error).__name__] += 1
        self.refused.add(type(error).__name__)
        if len(str(error)) < 20 or error.__cause__ is not None or error.__context__ is not None:
            self.wrong.append(f"{question}: not a typed error alone: {error!r}")


def look(folder: Path, made: dict[str, Known], seen: Seen) -> None:
    """Ask for all that is known, as a program would."""
    backend = known_backend(folder)
    try:
        _look(backend, made, seen)
    finally:
        backend.close()


def _look(backend: Backend, made: dict[str, Known], seen: Seen) -> None:
    names = list(made)
    for name in names:
        _look_at(backend, name, made[name], seen)
    try:
        found = ask(backend, Get(MISSING))
        seen.wrong.append(f"a get of what is not there: {found!r}")
    except SecretNotFound:
        seen.answers["right"] += 1
    except Exception as exc:
        seen.error("a get of what is not there", exc)
    for question, right in _whole(made):
        try:
            seen.judge(str(question), _facts(ask(backend, question)), right)
        except Exception as exc:
            seen.error(str(question), exc)
    try:
        batch = ask(backend, GetMany(tuple(names[:40])))
    except Exception as exc:
        seen.error("get many", exc)
        return
    for name, secret in batch.found.items():
        seen.judge(f"{name} of many", secret.reveal(), made[name].values[made[name].stages["AWSCURRENT"]])
    for name, error in batch.errors.items():
        if made[name].deleted and "scheduled for deletion" in str(error):
            seen.answers["right"] += 1
        else:
            seen.error(f"{name} of many", error)


def _whole(made: dict[str, Known]) -> Iterator[tuple[Operation[Any], Any]]:
    yield List(), [(name, one.description) for name, one in sorted(made.items()) if not one.deleted]
    yield List(include_deleted=True), [(name, one.description) for name, one in sorted(made.items())]


def _facts(infos: Any) -> list[tuple[str, str | None]]:
    return [(info.name, info.description) for info in infos]


def _look_at(backend: Backend, name: str, known: Known, seen: Seen) -> None:
    questions: list[tuple[Operation[Any], Any]] = [
        (Describe(name), lambda one: (one.description, dict(one.tags), one.deleted_at is not None)),
        (
            ListVersions(name, include_deprecated=True, page_size=100),
            lambda page: [(one.version_id, one.stages) for one in page.versions],
        ),
    ]
    answers: list[Any] = [
        (known.description, known.tags, known.deleted),
        [(one, tuple(sorted(label for label, at in known.stages.items() if at == one))) for one in known.values],
    ]
    if not known.deleted:
        for label in known.stages:
            questions.append((Get(name, stage=label), lambda secret: secret.reveal()))
            answers.append(known.values[known.stages[label]])
        for version_id, value in known.values.items():
            questions.append((Get(name, version_id=version_id), lambda secret: secret.reveal()))
            answers.append(value)
    for (question, facts), right in zip(questions, answers, strict=True):
        try:
            answer = ask(backend, question)
        except Exception as exc:
            seen.error(str(question), exc)
        else:
            seen.judge(str(question), facts(answer), right)


def verified(folder: Path) -> str:
    """What `verify` says: `clean`, `damage`, or the type of its error."""
    try:
        found = verify(folder, KeyFile(folder / KEY_NAME), deadline=clock_now() + SECONDS)
    except SecretsError as exc:
        return type(exc).__name__
    return "clean" if found.clean else "damage"
