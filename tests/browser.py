"""A real browser for the tests: headless Chromium, offline, with an eye on all that pages say and ask for.

    with opened(tmp_path / "report.html", width=400) as page:
        page.wait_for("document.querySelectorAll('.point').length > 0")
        assert page.console == page.requests == []

A launch takes a second or more, so a module that opens many pages opens them in one browser, a fixture of the module:

    with launched() as browser:
        with opened(path, browser=browser) as page: ...
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.devtools import BINARY, NAMES, Browser, BrowserError, launched

__all__ = ["Browser", "BrowserError", "Message", "Page", "launched", "needs_browser", "opened"]

needs_browser = pytest.mark.skipif(
    BINARY is None, reason=f"no browser on the PATH ({', '.join(NAMES)}), and BROWSER_BINARY names none"
)


TURN = "new Promise(done => setTimeout(done))"
"""Comes to an end after all that was waiting to be run, promises that nobody catches among it."""


@dataclasses.dataclass(frozen=True)
class Message:
    """What a page had to say: a console call, an uncaught exception, a failed resource, a dialog.

    ``level`` is log, debug, info, warning, error and so on as in the browser's console, ``exception`` or ``dialog``.
    """

    level: str
    text: str
    where: str = ""


@contextlib.contextmanager
def opened(
    page: Path | str, *, width: int = 1200, height: int = 900, timeout: float = 60.0, browser: Browser | None = None
) -> Iterator[Page]:
    """A page, loaded: its load event has fired.

    Parameters
    ----------
    page : a file, or a URL with its scheme
    width, height : of the viewport, in CSS pixels
    timeout : seconds that one command, load or wait may take at most
    browser : to open it in, with its own timeout; by default one is launched for this page alone
    """
    if browser is None:
        with launched(timeout=timeout) as own, opened(page, width=width, height=height, browser=own) as alone:
            yield alone
        return
    url = page if isinstance(page, str) and ":" in page else Path(page).resolve(strict=True).as_uri()
    target = browser.command("Target.createTarget", url="about:blank")["targetId"]
    session = browser.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    tab = Page(browser, session, url)
    try:
        tab.start(width, height)
        yield tab
    finally:
        for name in tab.sessions():
            del browser.hearers[name]
        if browser.process.poll() is None:
            browser.command("Target.closeTarget", targetId=target)


class Page:
    """An open page. Frames are told by number: 0 is the page itself, 1, 2, ... its iframes as they came up."""

    def __init__(self, browser: Browser, session: str, url: str) -> None:
        self.browser, self.url = browser, url
        self._session, self._frame = session, ""
        self._console: list[Message] = []
        self._requests: dict[tuple[str, str], str] = {}  # a redirected request keeps its number
        self._loaded: set[str] = set()
        self._contexts: dict[tuple[str, str], str] = {}
        browser.hearers[session] = self._hear

    @property
    def console(self) -> list[Message]:
        """All that the page and its iframes and workers have said so far, at every level."""
        self._catch_up()
        return list(self._console)

    @property
    def requests(self) -> list[str]:
        """The URLs that were asked for so far, reached or not, but for the page itself, data: and blob:."""
        self._catch_up()
        return list(self._requests.values())

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol to this page."""
        return self.browser.command(method, self._session, **parameters)

    def evaluate(self, expression: str, *, frame: int = 0) -> Any:
        """The value of a JavaScript expression, or what its promise comes to; as JSON would hold it."""
        session, where = self._session, {}
        if frame:
            (session, context), _ = self._iframe(frame)
            where = {"uniqueContextId": context}
        answer = self.browser.command(
            "Runtime.evaluate", session, expression=expression, awaitPromise=True, returnByValue=True, **where
        )
        if "exceptionDetails" in answer:
            raise BrowserError(f"{_thrown(answer['exceptionDetails'])}\nin {expression}")
        result = answer["result"]
        if "unserializableValue" in result:  # NaN, -0, Infinity or a big integer such as 12n
            number = result["unserializableValue"]
            return int(number[:-1]) if number.endswith("n") else float(number)
        return result.get("value")

    def wait_for(self, condition: str, timeout: float | None = None, *, frame: int = 0) -> Any:
        """Wait until an expression is true in JavaScript, and return it; one that throws is not true yet."""
        seconds = self.browser.timeout if timeout is None else timeout
        deadline, last = time.monotonic() + seconds, None
        # What is true is for JavaScript to say, and elements are; but they do not come out of the browser.
        value = "found instanceof Node ? true : found"
        asked = f"(async () => {{ const found = await ({condition}); return [Boolean(found), {value}]; }})()"
        while True:
            try:
                true, last = self.evaluate(asked, frame=frame)
                if true:
                    return last
            except BrowserError as error:
                if self.browser.process.poll() is not None:
                    raise
                last = error
            if time.monotonic() >= deadline:
                raise BrowserError(f"not within {seconds:g} s: {condition}\nlast: {last!r}\nconsole: {self._console}")
            self.browser.listen()

    def resize(self, width: int, height: int) -> None:
        """Give the page another viewport, in CSS pixels."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    def centre(self, selector: str, *, frame: int = 0) -> tuple[float, float]:
        """Scroll the first element of a CSS selector into view; where its middle is then, to be moved to or clicked.

        What still moves, because a smooth scroll is under way say, is waited for.
        """
        here = f"""(async () => {{
            const found = document.querySelector({json.dumps(selector)});
            if (!found) throw new Error("no element is " + {json.dumps(selector)});
            for (let place = "", still = 0; still < 3;) {{
                found.scrollIntoView({{block: "center", inline: "center", behavior: "instant"}});
                await new Promise(requestAnimationFrame);
                const {{x, y}} = found.getBoundingClientRect();
                still = place === `${{x}} ${{y}}` ? still + 1 : 0;
                place = `${{x}} ${{y}}`;
            }}
            const box = found.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()"""
        x, y = self.evaluate(here, frame=frame)
        if frame:  # what an iframe tells is counted from its own corner
            _, name = self._iframe(frame)
            owner = self.command("DOM.getFrameOwner", frameId=name)["backendNodeId"]
            left, top = self.command("DOM.getBoxModel", backendNodeId=owner)["model"]["content"][:2]
            x, y = x + left, y + top
        return x, y

    def move(self, x: float, y: float) -> None:
        """Point at a place of the viewport."""
        self._mouse("mouseMoved", x, y)

    def click(self, x: float, y: float) -> None:
        """Click there with the left button."""
        self.move(x, y)
        self._mouse("mousePressed", x, y, button="left", buttons=1, clickCount=1)
        self._mouse("mouseReleased", x, y, button="left", clickCount=1)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the left button at one place and let go at another."""
        self.move(*start)
        self._mouse("mousePressed", *start, button="left", buttons=1, clickCount=1)
        for share in (0.25, 0.5, 0.75, 1.0):
            x, y = (a + (b - a) * share for a, b in zip(start, end, strict=True))
            self._mouse("mouseMoved", x, y, button="left", buttons=1)
        self._mouse("mouseReleased", *end, button="left", clickCount=1)

    def wheel(self, x: float, y: float, down: float) -> None:
        """Turn the wheel there, by so many pixels down, or up if negative."""
        self._mouse("mouseWheel", x, y, deltaX=0, deltaY=down)

    def screenshot(self, path: Path, *, full: bool = False) -> None:
        """Write what is seen as a PNG; ``full`` is the whole page, not the viewport alone."""
        shot = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=full)
        path.write_bytes(base64.b64decode(shot["data"]))

    def start(self, width: int, height: int) -> None:
        """Listen, and load the page; called once, by `opened`."""
        self._watch(self._session)
        self.command("Page.setLifecycleEventsEnabled", enabled=True)
        self.command("Emulation.setFocusEmulationEnabled", enabled=True)
        self.resize(width, height)
        answer = self.command("Page.navigate", url=self.url)
        if "errorText" in answer:
            raise BrowserError(f"{self.url}: {answer['errorText']}")
        self._frame = answer["frameId"]
        deadline = time.monotonic() + self.browser.timeout
        while answer["loaderId"] not in self._loaded:
            self.browser.receive(deadline, f"the loading of {self.url}")

    def _hear(self, method: str, told: dict[str, Any], session: str) -> None:
        """An event of this page or of what belongs to it."""
        match method:
            case "Runtime.consoleAPICalled":
                calls = told.get("stackTrace", {}).get("callFrames", [])
                where = f"{calls[0]['url']}:{calls[0]['lineNumber'] + 1}" if calls else ""
                self._console.append(Message(told["type"], " ".join(map(_shown, told["args"])), where))
            case "Runtime.exceptionThrown":
                details = told["exceptionDetails"]
                where = f"{details.get('url', '')}:{details['lineNumber'] + 1}"
                self._console.append(Message("exception", _thrown(details), where))
            case "Log.entryAdded":
                entry = told["entry"]
                self._console.append(Message(entry["level"], entry["text"], entry.get("url", "")))
                if "networkRequestId" in entry:
                    self._asked(entry["networkRequestId"], entry["url"])
            case "Inspector.targetCrashed":
                raise BrowserError(f"{self.url} crashed")
            case "Page.javascriptDialogOpening":  # the page stands still until it is answered
                self._console.append(Message("dialog", told["message"], told["url"]))
                self.browser.post("Page.handleJavaScriptDialog", session, accept=told["type"] == "beforeunload")
            case "Network.requestWillBeSent":
                self._asked(told["requestId"], told["request"]["url"])
            case "Network.responseReceived":  # the first requests of an iframe may go out before they are watched
                self._asked(told["requestId"], told["response"]["url"])
            case "Network.webSocketCreated":
                self._asked(told["requestId"], told["url"])
            case "Page.lifecycleEvent" if told["name"] == "load":
                self._loaded.add(told["loaderId"])
            case "Runtime.executionContextCreated":
                context = told["context"]
                about = context.get("auxData", {})
                if about.get("isDefault") and "frameId" in about:
                    self._contexts[session, context["uniqueId"]] = about["frameId"]
            case "Runtime.executionContextDestroyed":
                self._contexts.pop((session, told["executionContextUniqueId"]), None)
            case "Runtime.executionContextsCleared":
                self._forget(session)
            case "Target.attachedToTarget":
                self.browser.hearers[told["sessionId"]] = self._hear
                self._watch(told["sessionId"], frame=told["targetInfo"]["type"] == "iframe")
                self.browser.post("Runtime.runIfWaitingForDebugger", told["sessionId"])
            case "Target.detachedFromTarget":
                self._forget(told["sessionId"])
                self.browser.hearers.pop(told["sessionId"], None)

    def sessions(self) -> list[str]:
        """The sessions of this page, its own first."""
        return [name for name, hearer in self.browser.hearers.items() if hearer == self._hear]

    def _watch(self, session: str, *, frame: bool = True) -> None:
        """Have everything told. Iframes of other processes and workers wait to be watched before they begin."""
        for domain in ("Runtime", "Log", "Network", *(["Page"] if frame else [])):
            self.browser.post(f"{domain}.enable", session)
        self.browser.post("Target.setAutoAttach", session, autoAttach=True, waitForDebuggerOnStart=True, flatten=True)

    def _catch_up(self) -> None:
        """What happened before a question is told before its answer."""
        for session in self.sessions():
            try:
                self.browser.command("Runtime.evaluate", session, expression=TURN, awaitPromise=True)
            except BrowserError:
                if session in self.browser.hearers:  # and so not a frame that has been removed meanwhile
                    raise

    def _asked(self, number: str, url: str) -> None:
        if url.partition("#")[0] != self.url.partition("#")[0] and not url.startswith(("data:", "blob:", "about:")):
            self._requests[number, url] = url

    def _forget(self, session: str) -> None:
        self._contexts = {key: frame for key, frame in self._contexts.items() if key[0] != session}

    def _iframe(self, number: int) -> tuple[tuple[str, str], str]:
        """((session, context), frame) of an iframe."""
        found = [(key, frame) for key, frame in self._contexts.items() if frame != self._frame]
        if not 1 <= number <= len(found):
            raise BrowserError(f"there is no iframe {number} among the {len(found)} of {self.url}")
        return found[number - 1]

    def _mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)


def _thrown(details: dict[str, Any]) -> str:
    """What an exception says, with its stack where it has one."""
    return _shown(details["exception"]) if "exception" in details else str(details["text"])


def _shown(value: dict[str, Any]) -> str:
    """A JavaScript value in the words of the console."""
    if "value" in value:
        return value["value"] if isinstance(value["value"], str) else json.dumps(value["value"])
    return str(value.get("description", value.get("unserializableValue", value["type"])))
