"""The base of the tree, and bad input: what is raised in the caller's thread, before anything is sent."""

from typing import ClassVar, Self


class SecretsError(Exception):
    """Base of every error of this package; never raised itself."""

    code: ClassVar[str] = "error"
    retryable: bool = False
    request_id: str | None = None
    # Of a write that may have taken effect: asking again with this idempotency token is safe. No secret.
    token: str | None = None

    def clone(self) -> Self:
        """An equal error without traceback, cause or context: one each for several callers, and free of frames
        that hold what only the worker should see."""
        twin = self.__class__.__new__(self.__class__)
        twin.args = self.args
        twin.__dict__.update(self.__dict__)
        return twin


class InvalidInput(SecretsError, ValueError):
    """The caller gave something that no backend would accept."""

    code = "invalid_input"


class InvalidSecretName(InvalidInput):
    """The name or ARN breaks the rules for names."""

    code = "invalid_name"


class InvalidSecretValue(InvalidInput):
    """The value is of the wrong type, empty, too large, or not what was asked of it."""

    code = "invalid_value"


class InvalidParameter(InvalidInput):
    """Another argument is out of its range. `parameter` names it, `allowed` says what goes."""

    code = "invalid_parameter"

    def __init__(self, parameter: str, allowed: str) -> None:
        super().__init__(f"{parameter}: {allowed}")
        self.parameter, self.allowed = parameter, allowed


class ConfigurationError(SecretsError):
    """The configuration does not hold. `mistakes` has a line for each: its key, and what is allowed."""

    code = "bad_configuration"

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes
