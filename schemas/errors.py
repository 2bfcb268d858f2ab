"""Errors, named for the boundary they cross.

Every message is one paragraph for a person: what was wrong, what was expected and found, where,
and what to do. A `UserError` ends a command with 2 (something to mend in what was asked), one with
an outside cause with `RETRY` (start the same command again), `Interrupted` with 130 (stopped as
asked); any other `ArboristError` ends it with 1 (something failed). None shows a traceback.
"""

RETRY = 75
"""The exit code EX_TEMPFAIL of sysexits.h: nothing is wrong with what was asked."""


class ArboristError(Exception):
    """The root of all errors that are reported to a person as one paragraph."""

    exit_code = 1


class UserError(ArboristError):
    """What was asked cannot be done as asked."""

    exit_code = 2


class SpecError(UserError):
    """A spec is malformed, impossible, or contradicts itself."""


class ModelError(UserError):
    """A model directory, tokenizer or chat template is missing or cannot be handled."""


class LocationError(UserError):
    """A location cannot be used: unknown scheme, not writable, or without create-if-absent."""


class EnvironmentMismatch(UserError):
    """The installed packages cannot do what is asked."""


class StoreError(ArboristError):
    """The store failed to do what it was asked."""


class Unavailable(StoreError):
    """The store was busy, broken or out of reach through all tries; what is committed stays."""

    exit_code = RETRY


class AlreadyExists(StoreError):
    """`create` met a name that is taken."""


class NotFound(StoreError):
    """`read` met a name that is not there."""


class CorruptData(ArboristError):
    """Stored bytes are not what was written: a bad checksum, a broken file, a wrong count."""


class NewerSchema(UserError):
    """The run was written by a newer version than this one."""


class EngineError(ArboristError):
    """An engine could not start, or died."""


class PoolError(ArboristError):
    """No engine is left to do the work, or the pool broke its contract."""


class NoEngine(PoolError):
    """Machines were lost or never found, and the work waits for others; it is resumable."""

    exit_code = RETRY


class FilterError(ArboristError):
    """A filter raised on a turn: a defect of the filter, never a silent keep."""


class FailureShareExceeded(ArboristError):
    """More requests failed than the spec allows; the run stops, resumable."""


class Diverged(ArboristError):
    """A loss, gradient or weight is no finite number any more; the last good checkpoint stays."""


class Interrupted(ArboristError):
    """A person asked the run to stop; it is resumable."""

    exit_code = 130


class Evicted(Interrupted):
    """The scheduler takes the driver's machine away (SIGTERM); the run is resumable elsewhere."""

    exit_code = RETRY
