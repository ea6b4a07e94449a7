"""A real browser (headless Chromium) for pages of ours, spoken to over its DevTools protocol."""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

_TIMEOUT_S = 60.0


class Page:
    """An open page: what it shows, what it complained about, what it wanted from elsewhere."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._calls = 0
        self.complaints: list[str] = []
        """Exceptions, console messages and entries of the browser's log, such as policy errors."""
        self.requests: list[str] = []
        """Addresses that were asked for, the page's own included."""

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": parameters})
        while True:
            message = await self._next()
            if message.get("id") == self._calls:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    async def open(self, path: Path) -> None:
        """Open a file and wait until it is loaded and drawn."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=path.as_uri())
        while (await self._next()).get("method") != "Page.loadEventFired":
            pass
        await self.drawn()

    async def drawn(self) -> None:
        """Wait until what was changed is drawn."""
        two_frames = (
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        await self.evaluate(f"{two_frames}.then(() => null)")

    async def evaluate(self, expression: str) -> Any:
        """Return the JSON value of an expression; a promise is waited for."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def text(self, selector: str) -> str:
        """Return the text that an element shows."""
        shown: str = await self.evaluate(
            f"document.querySelector({json.dumps(selector)}).innerText"
        )
        return shown

    async def point_at(self, selector: str, x: float, y: float) -> None:
        """Move the pointer to a place in an element, scrolled into view."""
        found = f"document.querySelector({json.dumps(selector)})"
        await self.evaluate(f"{found}.scrollIntoView({{block: 'center'}})")
        box = await self.evaluate(f"{found}.getBoundingClientRect().toJSON()")
        await self.call(
            "Input.dispatchMouseEvent", type="mouseMoved", x=box["x"] + x, y=box["y"] + y
        )
        await self.drawn()

    async def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """Give the page another size and theme."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[theme])
        await self.drawn()

    async def screenshot(self) -> bytes:
        """Return what is seen, as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot"))["data"])

    async def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = await self._socket.receive_json(timeout=_TIMEOUT_S)
        parameters = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(parameters["exceptionDetails"]))
            case "Runtime.consoleAPICalled":
                self.complaints.append(json.dumps(parameters["args"]))
            case "Log.entryAdded":
                self.complaints.append(parameters["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
        return message


@contextlib.asynccontextmanager
async def opened(path: Path, profile: Path) -> AsyncIterator[Page]:
    """Open a file in a browser of its own that keeps its things under `profile`."""
    # Sockets have short names only, and what is left of them when it ends is ours to remove.
    with tempfile.TemporaryDirectory(prefix="page-", ignore_cleanup_errors=True) as temporary:
        async with _opened(path, profile, temporary) as page:
            yield page


@contextlib.asynccontextmanager
async def _opened(path: Path, profile: Path, temporary: str) -> AsyncIterator[Page]:
    program = shutil.which("chromium")
    assert program, "chromium is not installed: scripts/setup --for test"
    quiet = (
        "background-networking",
        "component-update",
        "sync",
        "default-apps",
        "gpu",
        "dev-shm-usage",
    )
    process = await asyncio.create_subprocess_exec(
        program,
        "--headless",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        *(f"--disable-{name}" for name in quiet),
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"TMPDIR": temporary},
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            port = await _port(process)
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=timeout) as session,
            session.get("/json/list") as listed,
        ):
            target = next(one for one in await listed.json() if one["type"] == "page")
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                await page.open(path)
                yield page
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def shown_alone(page_text: str, directory: Path) -> AsyncIterator[Page]:
    """Open a page; in the end it has complained of nothing, fetched nothing, run nothing else."""
    path = directory / "page.html"
    path.write_text(page_text)
    async with opened(path, directory / "profile") as page:
        await page.resize(1200, 900)
        yield page
        await page.drawn()
        assert page.complaints == []
        assert page.requests == [path.as_uri()]
        assert await page.evaluate("window.caught ?? null") is None


async def _port(process: asyncio.subprocess.Process) -> int:
    """Return the port that the browser says it listens on."""
    assert process.stderr is not None
    said = b""
    async for line in process.stderr:
        said += line
        if line.startswith(b"DevTools listening on ws://"):
            # From here on nobody reads: the browser says little, and a pipe holds 64 KiB.
            return int(line.split(b"/")[2].rsplit(b":", 1)[1])
    raise AssertionError(said.decode(errors="replace"))
