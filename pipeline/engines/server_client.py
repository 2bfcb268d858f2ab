"""Talking to a server with the API of OpenAI: one request, its streamed answer, its failures."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pipeline.engines.server_config import ServerConfig
from schemas.errors import EngineError

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

Message = dict[str, Any]

_CONNECT_S = 30.0
_LONGEST_WAIT_S = 30.0
"""That a server may ask for before it is tried again."""
_KNOCK_S = 0.5
_SHOWN = 400
_BUSY = {408, 425, 429}
_WRONG_ADDRESS = {401, 403, 404, 405}
"""Statuses that are about the server and its name, never about one request."""
_DATA = b"data:"
_DONE = b"[DONE]"


class Refused(Exception):
    """The server will never answer this request."""


class Passing(Exception):
    """The server failed to answer; another try may succeed."""

    def __init__(self, message: str, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.after_s = after_s


class Sink(Protocol):
    """Where the messages of one answer go."""

    def take(self, message: Message) -> None:
        """Take the next one in."""
        ...

    def require_whole(self) -> None:
        """Raise `Passing` if the answer ended before it was complete."""
        ...


S = TypeVar("S", bound=Sink)


class ServerClient:
    """Everything said to one server, on one event loop."""

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._session: ClientSession | None = None

    async def open(self) -> None:
        """Make ready to talk; nothing is sent."""
        from aiohttp import ClientSession, ClientTimeout, TCPConnector

        self._session = ClientSession(
            headers=self._config.headers(),
            connector=TCPConnector(limit=0),
            timeout=ClientTimeout(total=self._config.timeout_s, sock_connect=_CONNECT_S),
        )

    async def close(self) -> None:
        """Hang up; a server drops what it was still asked for."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get(self, path: str) -> Message:
        """What lies at a path."""
        return await self._whole("GET", path, None)

    async def post(self, path: str, body: Mapping[str, Any]) -> Message:
        """The answer to a request, in one piece."""
        return await self._whole("POST", path, body)

    async def await_server(self, path: str) -> Message:
        """What lies at a path, once the server is up."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._config.awaited_s
        while True:
            try:
                return await self.get(path)
            except Passing as error:
                if clock() > deadline:
                    raise EngineError(
                        f"No server answered at {self._config.root} for "
                        f"{self._config.awaited_s:g} s: {error}. Expected `vllm serve` there; see "
                        "whether it is up and reached from the engine's machine."
                    ) from error
            await asyncio.sleep(_KNOCK_S)

    async def stream(self, path: str, body: Mapping[str, Any], fresh: Callable[[], S]) -> S:
        """The whole answer to a request, in a fresh sink for every try.

        `EngineError` when all tries failed, and `Refused` when the server refuses the request.
        """
        for number, pause in enumerate((*self._config.pauses_s, None), start=1):
            try:
                return await self._stream_once(path, body, fresh())
            except Passing as error:
                if pause is None:
                    raise EngineError(
                        f"The server at {self._config.root} failed a request {number} times, the "
                        f"last time with: {error}"
                    ) from error
                await asyncio.sleep(pause * random.uniform(0.5, 1.5) + error.after_s)
        raise AssertionError("the last try returns or raises")

    async def _stream_once(self, path: str, body: Mapping[str, Any], sink: S) -> S:
        from aiohttp import ClientError

        try:
            async with self._ask("POST", path, body) as response:
                await self._require_good(response)
                async for payload in _events(response.content.iter_any()):
                    if payload == _DONE:
                        break
                    sink.take(self._good_message(_parsed(payload)))
        except (ClientError, TimeoutError, OSError) as error:
            raise Passing(_told(error)) from error
        sink.require_whole()
        return sink

    async def _whole(self, method: str, path: str, body: Mapping[str, Any] | None) -> Message:
        from aiohttp import ClientError

        try:
            async with self._ask(method, path, body) as response:
                await self._require_good(response)
                return self._good_message(_parsed(await response.read()))
        except (ClientError, TimeoutError, OSError) as error:
            raise Passing(_told(error)) from error

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        assert self._session is not None
        return self._session.request(method, f"{self._config.root}{path}", json=body)

    async def _require_good(self, response: "ClientResponse") -> None:
        if response.status >= 400:
            words = _words(await response.read())
            raise self._judged(response.status, words, response.headers.get("Retry-After"))

    def _good_message(self, message: Message) -> Message:
        """A message that is not about a failure: once a stream began, its status is 200."""
        if (found := message.get("error")) is None:
            return message
        about = found if isinstance(found, dict) else {"message": found}
        code = about.get("code")
        raise self._judged(code if isinstance(code, int) else 500, str(about.get("message")))

    def _judged(self, status: int, words: str, after: str | None = None) -> Exception:
        if status >= 500 or status in _BUSY:
            return Passing(f"status {status}: {words}", _seconds(after))
        if status in _WRONG_ADDRESS:
            return EngineError(
                f"The server at {self._config.root} answered with status {status}: {words}. "
                "Expected a server with the API of OpenAI, the name it serves the model under "
                "(`server.name`), and its key (`server.key_variable`)."
            )
        return Refused(words)


async def _events(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The payloads of server-sent events; one may be longer than any piece of the stream."""
    rest = b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(_DATA):
                yield line.removeprefix(_DATA).strip()


def _parsed(payload: bytes) -> Message:
    try:
        found = json.loads(payload)
    except ValueError as error:
        raise Passing(f"the answer is no JSON: {payload[:_SHOWN]!r}") from error
    if not isinstance(found, dict):
        raise Passing(f"the answer is no JSON object: {payload[:_SHOWN]!r}")
    return found


def _words(payload: bytes) -> str:
    """What a server says of a failure."""
    try:
        found = json.loads(payload)
        found = found.get("error", found)
        return str(found.get("message", found))[:_SHOWN]
    except (ValueError, AttributeError):
        return payload.decode(errors="replace").strip()[:_SHOWN] or "nothing more"


def _seconds(after: str | None) -> float:
    try:
        return min(_LONGEST_WAIT_S, max(0.0, float(after or 0)))
    except ValueError:
        return 0.0


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
