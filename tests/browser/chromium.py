"""A headless Chromium, driven over its DevTools protocol: enough to click, type and look."""

import asyncio
import base64
import itertools
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

PATIENCE_S = 30.0
PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
NEEDED = pytest.mark.skipif(
    PROGRAM is None and not os.environ.get("CI"), reason="Debian's package chromium is missing"
)
"""Where every change is tested, a missing browser is a failure."""

_KEYS = {"Enter": ("\r", 13), "ArrowLeft": ("", 37), "ArrowRight": ("", 39), "Escape": ("", 27)}


class Page:
    """One tab."""

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: Any) -> None:
        self._loop, self._socket = loop, socket
        self._numbers = itertools.count(1)
        self.requested: list[str] = []
        """Every address that it asked for."""
        self.complaints: list[str] = []
        """Errors of scripts, and what the policy refused."""

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """One command, and its answer."""
        return self._loop.run_until_complete(self._call(method, given))

    async def _call(self, method: str, given: dict[str, Any]) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": given})
        while True:
            told = json.loads((await self._socket.receive(timeout=PATIENCE_S)).data)
            if told.get("id") == number:
                assert "error" not in told, f"{method}: {told['error']}"
                return told["result"]
            self._note(told)

    def _note(self, told: dict[str, Any]) -> None:
        method, given = told.get("method"), told.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requested.append(given["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(given["exceptionDetails"]))
        elif method == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.complaints.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")

    def run(self, script: str) -> Any:
        """The value of an expression."""
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait(self, script: str) -> Any:
        """The value of an expression, once it is true."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := self.run(script)):
            assert time.monotonic() < deadline, (
                f"never true: {script}\n{self.complaints}\n{self.run('document.body.innerText')}"
            )
            self._loop.run_until_complete(asyncio.sleep(0.02))
        return found

    def visit(self, address: str) -> None:
        """Go there, and wait until the page is drawn."""
        self.call("Page.navigate", url=address)
        self.drawn()

    def go(self, fragment: str, page: str) -> None:
        """To another page of the same address."""
        self.run(f"location.hash = {json.dumps(fragment)}; 0")
        self.drawn(page)

    def drawn(self, page: str | None = None) -> None:
        """Until a page is whole."""
        name = f'="{page}"' if page else ""
        self.wait(f"!!document.querySelector('[data-shown{name}][data-done]')")

    def text(self, selector: str = "main") -> str:
        """What a person reads there."""
        return self.wait(f"document.querySelector({json.dumps(selector)})?.innerText")

    def count(self, selector: str) -> int:
        """How many elements there are."""
        return self.run(f"document.querySelectorAll({json.dumps(selector)}).length")

    def click(self, selector: str) -> None:
        """As a mouse does: at the middle of the element, where nothing may lie over it."""
        wanted = json.dumps(selector)
        self.wait(f"!!document.querySelector({wanted})")
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({wanted}); "
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect(); "
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """One key, down and up."""
        text, code = _KEYS.get(key, (key, ord(key[0].upper())))
        given = {"key": key, "windowsVirtualKeyCode": code}
        self.call(
            "Input.dispatchKeyEvent", type="keyDown", **given, **({"text": text} if text else {})
        )
        self.call("Input.dispatchKeyEvent", type="keyUp", **given)

    def write(self, text: str) -> None:
        """Into what has the focus."""
        self.call("Input.insertText", text=text)

    def size(self, width: int, height: int, *, phone: bool = False) -> None:
        """As large a window."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )

    def prefer(self, scheme: str) -> None:
        """Dark or light, as the system says."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def shoot(self, file: Path) -> None:
        """A picture of what is to be seen."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


@contextmanager
def chromium(folder: Path) -> Iterator[Page]:
    """A browser with one tab; it keeps its things in a folder, and ends with the block."""
    assert PROGRAM is not None, "install Debian's package chromium"
    options = (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--no-first-run", "--disable-extensions", "--disable-background-networking"),
        *("--disable-component-update", "--disable-sync", "--remote-debugging-port=0"),
    )
    process = subprocess.Popen(
        [PROGRAM, *options, f"--user-data-dir={folder}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    loop = asyncio.new_event_loop()
    try:
        with _tab(loop, _port(folder, process)) as page:
            yield page
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        loop.close()


def _port(folder: Path, process: "subprocess.Popen[bytes]") -> int:
    file, deadline = folder / "DevToolsActivePort", time.monotonic() + PATIENCE_S
    while not (file.exists() and len(file.read_text().split()) == 2):
        assert process.poll() is None, f"chromium ended with {process.returncode}"
        assert time.monotonic() < deadline, "chromium never listened"
        threading.Event().wait(0.02)
    return int(file.read_text().split()[0])


@contextmanager
def _tab(loop: asyncio.AbstractEventLoop, port: int) -> Iterator[Page]:
    async def opened() -> tuple[aiohttp.ClientSession, Any]:
        session = aiohttp.ClientSession()
        async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            [first] = [tab for tab in await answer.json() if tab["type"] == "page"]
        return session, await session.ws_connect(first["webSocketDebuggerUrl"], max_msg_size=0)

    session, socket = loop.run_until_complete(opened())
    try:
        page = Page(loop, socket)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        yield page
    finally:
        loop.run_until_complete(socket.close())
        loop.run_until_complete(session.close())
