"""A headless Chromium and the pipes to it: the Chrome DevTools Protocol with the standard library alone.

One JSON message goes after the other, with a zero byte behind each. The commands and events are those of
https://chromedevtools.github.io/devtools-protocol. What tests use is in `tests.browser`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BINARY = os.environ.get("BROWSER_BINARY") or next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = (
    "--headless", "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-breakpad",
    "--disable-renderer-backgrounding", "--allow-pre-commit-input", "--hide-scrollbars", "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
"""The last two leave no host that could be reached, by name or by number."""

LAUNCHER = """
import fcntl, os, sys
ends = [int(end) for end in sys.argv[1:3]]
high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
for end in ends:
    os.close(end)
os.dup2(high[0], 3)
os.dup2(high[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Puts the pipes where a browser looks for them, on 3 and 4, from wherever they are, and becomes the browser."""

SESSION_GONE = -32001
"""What the protocol answers to a message for a frame that has been removed meanwhile."""


class BrowserError(Exception):
    """The browser died, was too slow, or refused; or JavaScript threw."""


class Browser:
    """A running browser; made by `launched`."""

    def __init__(self, process: subprocess.Popen[bytes], to: int, back: int, home: Path, timeout: float) -> None:
        self.process, self.home, self.timeout = process, home, timeout
        self.hearers: dict[str, Callable[[str, dict[str, Any], str], None]] = {}
        """By session who is told its events: (name, parameters, session). A page has a session, and so have its workers
        and such iframes as live in processes of their own."""
        self._to, self._back = to, back
        self._buffer = bytearray()
        self._last = 0
        self._replies: dict[int, dict[str, Any]] = {}
        self._posted: set[int] = set()

    def command(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """What the browser answers; `BrowserError` if that is an error or does not come in time."""
        number = self._send(method, session, parameters)
        deadline = time.monotonic() + self.timeout
        while number not in self._replies:
            self.receive(deadline, f"{method} {json.dumps(parameters)[:300]}")
        reply = self._replies.pop(number)
        if "error" in reply:
            raise BrowserError(f"{method}: {reply['error']['message']}")
        return dict(reply["result"])

    def post(self, method: str, session: str, **parameters: Any) -> None:
        """Send what is to be obeyed but not waited for; an error shows when its answer is read."""
        self._posted.add(self._send(method, session, parameters))

    def listen(self) -> None:
        """Take in what is said in a twentieth of a second."""
        deadline = time.monotonic() + 0.05
        while time.monotonic() < deadline:
            self.receive(deadline, None)

    def _send(self, method: str, session: str | None, parameters: dict[str, Any]) -> int:
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        data = memoryview(json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        while data:
            try:
                data = data[os.write(self._to, data) :]
            except BrokenPipeError as error:
                raise self._death() from error
        return self._last

    def receive(self, deadline: float, awaited: str | None) -> None:
        """Take in what has come, or wait for it; past the deadline raise if something is awaited."""
        ready, _, _ = select.select([self._back], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            if awaited is None:
                return
            raise BrowserError(f"no answer within {self.timeout:g} s to {awaited}")
        read = os.read(self._back, 1 << 20)
        if not read:
            raise self._death()
        *whole, self._buffer = (self._buffer + read).split(b"\0")
        for text in whole:
            message = json.loads(text)
            number = message.get("id")
            if number is None:
                if message.get("sessionId") in self.hearers:
                    self.hearers[message["sessionId"]](message["method"], message["params"], message["sessionId"])
            elif number not in self._posted:
                self._replies[number] = message
            else:
                self._posted.remove(number)
                if message.get("error", {}).get("code", SESSION_GONE) != SESSION_GONE:
                    raise BrowserError(message["error"]["message"])

    def _death(self) -> BrowserError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        said = (self.home / "stderr").read_text(encoding="utf-8", errors="replace")[-2000:]
        return BrowserError(f"the browser is gone (status {self.process.poll()}); it said:\n{said}")


@contextlib.contextmanager
def launched(*, timeout: float = 60.0) -> Iterator[Browser]:
    """A browser with an empty profile, offline, that leaves nothing behind.

    ``timeout`` in seconds is the most that any one command, load or wait may take.
    """
    if BINARY is None:
        raise BrowserError("there is no browser; tests that want one are marked needs_browser")
    # What is killed may still be writing to its profile while that is cleared away.
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        theirs_in, to = os.pipe()
        back, theirs_out = os.pipe()
        launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(theirs_in), str(theirs_out)]
        with (home / "stderr").open("wb") as errors:
            process = subprocess.Popen(
                [*launch, BINARY, *FLAGS, f"--user-data-dir={home / 'profile'}", "about:blank"],
                stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=os.environ | {"HOME": name},
                pass_fds=(theirs_in, theirs_out), start_new_session=True,
            )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        browser = Browser(process, to, back, home, timeout)
        try:
            yield browser
        finally:
            # Whoever asked a dead browser has been told; here it only has to be gone, and its children with it.
            with contextlib.suppress(BrowserError, subprocess.TimeoutExpired):
                browser.timeout = 10
                browser.command("Browser.close")
                process.wait(timeout=10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(to)
            os.close(back)
