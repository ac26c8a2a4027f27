"""A source for pydantic-settings that fills the fields of a settings class from secrets. THE door to pydantic_settings.
Extra: `pydantic-settings`.

    from typing import Annotated

    from pydantic import SecretStr
    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

    import secrets_actor
    from secrets_actor.extras.pydantic_settings import InSecret, SecretsSource

    system = secrets_actor.start()

    class Settings(BaseSettings):
        db_password: SecretStr                                         # the secret app/db_password
        token: Annotated[SecretStr, InSecret("payments/api", key="token")]

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, SecretsSource(settings_cls, system.secrets, prefix="app/")

    system.secrets.set("app/db_password", "hunter2")
    system.secrets.set("payments/api", '{"token": "correct horse"}')
    settings = Settings.model_validate({})                         # as Settings(), which type checkers refuse
    assert settings.token.get_secret_value() == "correct horse"
    system.stop()

Rule 1: a field's value comes from the secret that the field names with `InSecret`. Otherwise it comes from the member
        of *document* that has the field's alias or name, or, without a document, from the secret whose name is *prefix*
        followed by the field's alias or name. If there is no such secret, the field is left to other sources and to its
        default. Any other error of the store is raised.
Rule 2: members of a document are found as pydantic-settings finds environment variables: by any alias of the field, and
        by its name where that is allowed. Upper and lower case count as the same, in nested models, too, unless
        `case_sensitive` says otherwise; an exact match comes first. The name of a secret is always taken as it is,
        because stores distinguish upper and lower case.
Rule 3: every value that goes to pydantic prints as a mask, whatever the field's type, because pydantic's errors quote
        the values that they were given.
Rule 4: a value that does not fit its field is found here. One error names all such fields at once, without the values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from msgspec import Struct
from pydantic import AliasChoices, AliasPath, BaseModel, SecretBytes, SecretStr, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from secrets_actor.client.secrets import Secrets
from secrets_actor.domain.errors import (
    ConfigurationError,
    InvalidParameter,
    InvalidSecretName,
    InvalidSecretValue,
    SecretNotFound,
)
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.results import SecretBatch
from secrets_actor.domain.secret import MASK, Secret


class InSecret(Struct, frozen=True):
    """The mark of a field that has its value in a certain secret, for the field's annotation:
    `Annotated[SecretStr, InSecret("payments/api", key="token")]`.

    *name* is the secret's full name or ARN; no prefix is put before it. *key* is a member of a secret that is a JSON
    object (None: the whole secret).
    """

    name: str
    key: str | None = None


class _Place(Struct, frozen=True):
    """A place where a field's value may be: the secret `name`, and in it the first of `members` that it has (no
    members: the whole secret). `key` is the key under which pydantic wants the value, `path` the way from there to the
    field's part of it, for an `AliasPath`."""

    name: SecretId
    members: tuple[str, ...]
    key: str
    path: AliasPath | None = None
    required: bool = False  # whether the member must be there, with exactly this name: the field names it (`InSecret`)


class _Mistake(str):
    """A text that says what is wrong with a field. It never has the value."""


_ABSENT: Final = object()


class SecretsSource(PydanticBaseSettingsSource):
    """A source of settings that fills fields of *settings_cls* from *secrets*, for `settings_customise_sources`.

    *prefix* comes before a field's alias or name to make the name of its secret. *document* is one secret for all
    fields instead of a secret for each: a JSON object with a member for each field, whose name may begin with the
    class's `env_prefix`. *case_sensitive* tells whether the case of members' names must match (None: as the class is
    configured; if it is not, the case need not match). *fields* are the fields to look for (None: all); a field that
    an earlier source has filled is not looked for. *timeout* is in seconds, for all fields together (None: as
    configured).

    Declare a secret field as `SecretStr` or `SecretBytes`. Fields of other types are filled, too; models, lists and the
    like are read as JSON. They are masked in pydantic's messages, but not in `ValidationError.json()`.

    The constructor raises `InvalidParameter`. The call raises `ConfigurationError` with every field whose value does
    not fit, and the store's errors, with a note that names the field.
    """

    def __init__(
        self,
        settings_cls: type[BaseSettings],
        secrets: Secrets,
        *,
        prefix: str = "",
        document: str | None = None,
        fields: Iterable[str] | None = None,
        timeout: float | None = None,
        case_sensitive: bool | None = None,
    ) -> None:
        super().__init__(settings_cls)
        if document is not None and prefix:
            raise InvalidParameter("document", "without a prefix: one secret, or one for each field")
        wanted = settings_cls.model_fields if fields is None else tuple(fields)
        if unknown := [name for name in wanted if name not in settings_cls.model_fields]:
            raise InvalidParameter("fields", f"fields of {settings_cls.__name__}; not {', '.join(map(repr, unknown))}")
        self._fields = {name: settings_cls.model_fields[name] for name in wanted}
        self._secrets, self._timeout = secrets, timeout
        self._prefix, self._document = prefix, None if document is None else SecretId(document)
        configured = bool(self.config.get("case_sensitive"))
        self._case_sensitive = configured if case_sensitive is None else case_sensitive

    def __call__(self) -> dict[str, Any]:
        """Return the values that were found, by the keys that pydantic takes."""
        mistakes: list[str] = []
        places: dict[str, list[_Place]] = {}
        for name, field in self._fields.items():
            try:
                places[name] = self._open_places(name, field)
            except InvalidSecretName as error:
                mistakes.append(f"{name}: {error}")
        batch = self._fetched(places)
        data: dict[str, Any] = {}
        for name in places:
            for place in places[name]:
                found = self._found(name, self._fields[name], place, batch)
                if isinstance(found, _Mistake):
                    mistakes.append(found)
                elif found is not _ABSENT:
                    data.setdefault(place.key, found)
                    break
        if mistakes:
            raise ConfigurationError(tuple(mistakes))
        return data

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the value of one field (None: not found), its key, and whether pydantic-settings must still parse it
        (never). The base class requires this method."""
        places = list(self._places(field_name, field))
        batch = self._fetched({field_name: places})
        for place in places:
            found = self._found(field_name, field, place, batch)
            if isinstance(found, _Mistake):
                raise ConfigurationError((found,))
            if found is not _ABSENT:
                return found, place.key, False
        return None, field_name, False

    def _open_places(self, name: str, field: FieldInfo) -> list[_Place]:
        """Return the places of a field; an empty list when an earlier source has filled it, under any of its keys."""
        places, had = list(self._places(name, field)), self.current_state
        if any(place.key in had for place in places if place.path is None):
            return []
        return [place for place in places if place.key not in had]

    def _places(self, name: str, field: FieldInfo) -> Iterator[_Place]:
        marked = next((one for one in field.metadata if isinstance(one, InSecret)), None)
        for key, path in _keys(name, field, self.config):
            if marked is not None:
                members = () if marked.key is None else (marked.key,)
                yield _Place(SecretId(marked.name), members, key, None, required=True)
                return
            if self._document is not None:
                yield _Place(self._document, (self.config.get("env_prefix", "") + key, key), key, path)
            else:
                yield _Place(SecretId(self._prefix + key), (), key, path)

    def _found(self, name: str, field: FieldInfo, place: _Place, batch: SecretBatch) -> Any:
        return _found(name, field, place, batch, self.field_is_complex(field), self._case_sensitive)

    def _fetched(self, places: dict[str, list[_Place]]) -> SecretBatch:
        names = {place.name: field for field, of_field in places.items() for place in of_field}
        if not names:
            return SecretBatch({}, {})
        batch = self._secrets.get_many(names, timeout=self._timeout)
        for name, error in batch.errors.items():
            if not isinstance(error, SecretNotFound):
                failure = error.clone()  # the note is for this field alone, and changes the error that it is added to
                failure.add_note(f"while the field {names[SecretId(name)]} of {self.settings_cls.__name__} was read")
                raise failure
        return batch

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.settings_cls.__name__}, {len(self._fields)} fields)"


def _keys(name: str, field: FieldInfo, config: Mapping[str, Any]) -> Iterator[tuple[str, AliasPath | None]]:
    """Return the keys under which a class of this *config* takes a field, each with its `AliasPath` (None: it has
    none)."""
    alias = field.validation_alias if config.get("validate_by_alias", True) else None
    for choice in alias.choices if isinstance(alias, AliasChoices) else [] if alias is None else [alias]:
        if isinstance(choice, AliasPath):
            yield str(choice.path[0]), choice
        else:
            yield choice, None
    if alias is None or config.get("populate_by_name") or config.get("validate_by_name"):
        yield name, None


def _member(table: dict[str, Any], names: tuple[str, ...], case_sensitive: bool) -> Any:
    """Return the member of *table* under the first of *names* that it has; `_ABSENT` when it has none of them."""
    folded = {} if case_sensitive else {key.lower(): value for key, value in table.items()}
    for name in names:
        found = table.get(name, folded.get(name.lower(), _ABSENT))
        if found is not _ABSENT:
            return found
    return _ABSENT


def _renamed(annotation: Any, value: Any) -> Any:
    """Return *value* for a field of this type. If the type is a model, keys that differ from its keys only in upper and
    lower case are renamed to those."""
    model = _model_in(annotation)
    if model is None or not isinstance(value, dict):
        return value
    fields = {
        key: field for name, field in model.model_fields.items() for key, _ in _keys(name, field, model.model_config)
    }
    folded: dict[str, str] = {key.lower(): key for key in reversed(fields)}
    found: dict[str, Any] = {}
    for given, inner in value.items():
        key = str(given if given in fields else folded.get(given.lower(), given))
        key = given if key in value else key  # an exact match comes first
        found[key] = _renamed(fields[key].annotation, inner) if key in fields else inner
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model that *annotation* is, also for `Model | None` and `Annotated[Model, ...]`; None when it is no
    model."""
    if get_origin(annotation) is Annotated:
        return _model_in(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        inner = [one for one in get_args(annotation) if one is not NoneType]
        return _model_in(inner[0]) if len(inner) == 1 else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _found(
    name: str, field: FieldInfo, place: _Place, batch: SecretBatch, is_complex: bool, case_sensitive: bool
) -> Any:
    """Return the masked value of a field, `_ABSENT`, or a `_Mistake`. Raises nothing, because this frame has the value
    in clear."""
    secret = batch.found.get(place.name)
    if secret is None:
        return _ABSENT
    if place.path is not None or place.members or (is_complex and not _holds(field.annotation, SecretStr)):
        value = _parsed(secret)
        if value is _ABSENT:
            return _Mistake(f"{name}: the secret {place.name} is not JSON")
    else:
        value = secret.reveal()
    if place.members:
        if not isinstance(value, dict):
            return _Mistake(f"{name}: the secret {place.name} is not a JSON object")
        value = _member(value, place.members, case_sensitive or place.required)
        if value is _ABSENT:
            text = f"{name}: the secret {place.name} has no member {place.members[-1]}"
            return _Mistake(text) if place.required else _ABSENT
    if place.path is None and not case_sensitive:
        value = _renamed(field.annotation, value)
    if place.path is not None:
        # pydantic follows the path itself, so it gets the whole. We follow it only to check the field's part.
        value = _masked(value)
        inner = place.path.search_dict_for_path({place.key: value})
        if inner is PydanticUndefined:
            return _ABSENT
        return _misfit(name, field, place, inner) or value
    value = _as_declared(field.annotation, value)
    return _misfit(name, field, place, value) or value


def _parsed(secret: Secret) -> Any:
    try:
        return secret.json()
    except InvalidSecretValue:
        return _ABSENT


def _as_declared(annotation: Any, value: Any) -> Any:
    """Return *value* in pydantic's masked type (`SecretStr`, `SecretBytes`) where the field has one, otherwise in
    ours."""
    if isinstance(value, (str, bytes)):
        if _holds(annotation, SecretBytes):
            return SecretBytes(value.encode() if isinstance(value, str) else value)
        if _holds(annotation, SecretStr):
            text = value if isinstance(value, str) else _text(value)
            return _masked(value) if text is None else SecretStr(text)
    return _masked(value)


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _holds(annotation: Any, kind: type) -> bool:
    """Whether *annotation* is *kind*, or has it as a part, as a union or `Annotated` does."""
    return annotation is kind or any(_holds(one, kind) for one in get_args(annotation))


def _misfit(name: str, field: FieldInfo, place: _Place, value: Any) -> _Mistake | None:
    """Return what pydantic would object to in *value*, without quoting it; None when it fits."""
    checked: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    try:
        adapter = TypeAdapter[Any](checked)
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation):
        return None  # only the whole model can check this type, as where it refers to names that are not defined yet
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        kinds = sorted({one["type"] for one in error.errors(include_input=False, include_context=False)})
        return _Mistake(f"{name}: what is in the secret {place.name} does not fit: {', '.join(kinds)}")
    return None


# --- values of plain types that print as a mask: pydantic takes them for those types ----------------------------------


class _Text(str):
    def __repr__(self) -> str:
        return MASK


class _Bytes(bytes):
    def __repr__(self) -> str:
        return MASK


class _Whole(int):
    def __repr__(self) -> str:
        return MASK


class _Real(float):
    def __repr__(self) -> str:
        return MASK


class _Object(dict[str, Any]):
    def __repr__(self) -> str:
        return MASK


class _Array(list[Any]):
    def __repr__(self) -> str:
        return MASK


_MASKED: Final = {str: _Text, bytes: _Bytes, int: _Whole, float: _Real}


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return _Object({key: _masked(one) for key, one in value.items()})
    if isinstance(value, list):
        return _Array([_masked(one) for one in value])
    kind = _MASKED.get(type(value))
    return value if kind is None else kind(value)  # true, false and null stay: they tell next to nothing
