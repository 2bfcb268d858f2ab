"""A record, checked and made a row to grow from."""

from pipeline.storage.records import BadRecord, Record, type_of
from pipeline.storage.row_columns import ColumnChoice, Columns, Unfit
from pipeline.storage.row_messages import read_messages
from schemas.generation_spec import DataSpec
from schemas.manifest import BadRow
from schemas.records import Frame, Message, RootRow

_PLAIN = "{text}"
_LONGEST = 500


class RowReader:
    """Reads records as a spec says."""

    def __init__(self, spec: DataSpec) -> None:
        self._spec = spec
        self._choice = ColumnChoice(spec.columns)
        self.missing = set(spec.columns.values())
        """Columns that are mapped and stood in no record so far."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All that it looks for in a record."""
        return self._choice.known

    def row(self, record: Record | BadRecord) -> RootRow | BadRow:
        """What a record is."""
        if isinstance(record, BadRecord):
            return bad_row(*record)
        if self.missing:
            self.missing.difference_update(record.content)
        try:
            return self._row(record)
        except Unfit as error:
            return bad_row(record.place, str(error))

    def _row(self, record: Record) -> RootRow:
        columns = self._choice.columns(record.content)
        system = self._system(record, columns)
        if columns.subject == "messages":
            return self._of_messages(record, columns, system)
        text = _text(record, columns.theirs)
        if not text.strip():
            raise Unfit(f"column {columns.theirs}: empty")
        return RootRow(
            text if self._spec.template == _PLAIN else self._spec.template.format(text=text),
            system,
            reference=self._reference(record, columns),
            source=record.place,
        )

    def _of_messages(self, record: Record, columns: Columns, system: str) -> RootRow:
        if self._spec.template != _PLAIN:
            raise Unfit(f"column {columns.theirs}: messages, but `template` fills in a text")
        try:
            frame, answer = read_messages(record.content[columns.theirs])
        except Unfit as error:
            raise Unfit(f"column {columns.theirs}: {error}") from error
        given = columns.reference is not None
        return RootRow(
            messages=_begin(frame, system),
            reference=self._reference(record, columns) if given else answer,
            source=record.place,
        )

    def _system(self, record: Record, columns: Columns) -> str:
        return "" if columns.system is None else _text(record, columns.system)

    def _reference(self, record: Record, columns: Columns) -> str | None:
        if columns.reference is None:
            return None
        found = record.content[columns.reference]
        if not columns.sure and not isinstance(found, str):
            return None
        text = _text(record, columns.reference)
        if not text.strip() and "reference" in self._spec.columns:
            raise Unfit(f"column {columns.reference}: empty")
        return text if text.strip() else None


def bad_row(place: str, reason: str) -> BadRow:
    """A row that nothing can grow from, told so that any file can hold it."""
    shown = reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}..."
    return BadRow(where=place, why=shown.encode("utf-8", "replace").decode("utf-8"))


def _text(record: Record, column: str) -> str:
    found = record.content[column]
    if not isinstance(found, str):
        raise Unfit(f"column {column}: found {type_of(found)}, expected a text")
    return found


def _begin(frame: Frame, system: str) -> Frame:
    """The frame with the system prompt of a column of its own."""
    if not system.strip():
        return frame
    if frame[0].role != "system":
        return (Message("system", system), *frame)
    if frame[0].text != system:
        raise Unfit("one system prompt in a column of its own, and another among its messages")
    return frame
