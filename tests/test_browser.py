"""The browser of the tests sees what it is there to see."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Browser, BrowserError, Message, launched, needs_browser, opened

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as running:
        yield running


def page_file(directory: Path, body: str, name: str = "page.html") -> Path:
    path = directory / name
    path.write_text(f"<!DOCTYPE html><meta charset='utf-8'><title>t</title>{body}", encoding="utf-8")
    return path


def test_a_quiet_page_is_quiet(browser, tmp_path):
    with opened(page_file(tmp_path, "<p>nothing</p><a href='https://example.org'>out</a>"), browser=browser) as page:
        assert page.evaluate("document.body.innerText.trim()") == "nothing\n\nout"
        assert page.console == page.requests == []


def test_an_error_an_exception_and_a_request_to_the_outside_are_all_noticed(browser, tmp_path):
    body = """<img src="https://example.org/x.png"><script>console.error("bad", 7)</script>
<script>console.warn("careful"); null.x;</script>"""
    with opened(page_file(tmp_path, body), browser=browser) as page:
        said = {message.level: message for message in page.console if not message.where.startswith("https:")}
        assert said["error"].text == "bad 7"
        assert said["error"].where == f"{page.url}:1"
        assert said["warning"].text == "careful"
        assert said["exception"].text.startswith("TypeError: Cannot read properties of null")
        assert page.requests == ["https://example.org/x.png"]
        (failed,) = [message for message in page.console if message.where == "https://example.org/x.png"]
        assert failed.level == "error"
        assert "ERR_NAME_NOT_RESOLVED" in failed.text


def test_what_goes_wrong_later_is_noticed_too(browser, tmp_path):
    body = """<script>
onclick = () => { Promise.reject(new Error("late")); fetch("http://192.0.2.1/").catch(() => 0); }
</script>"""
    with opened(page_file(tmp_path, body), browser=browser) as page:
        assert page.console == page.requests == []
        page.click(10, 10)
        assert [message.text.splitlines()[0] for message in page.console if message.level == "exception"] == [
            "Error: late"
        ]
        assert page.requests == ["http://192.0.2.1/"]


@pytest.mark.parametrize("sandbox", ["", "sandbox='allow-scripts'"])
def test_iframes_are_heard_asked_and_clicked_whatever_process_they_live_in(browser, tmp_path, sandbox):
    inner = (
        "<script src='https://example.org/in.js'></script><script>console.error('inner')</script>"
        "<button style='margin: 30px' onclick='this.textContent = `clicked`'>press</button>"
    )
    body = f'<div style="height: 1500px"></div><iframe {sandbox} srcdoc="{inner}"></iframe>'
    with opened(page_file(tmp_path, body), browser=browser) as page:
        assert page.wait_for("document.querySelector('button').textContent", frame=1) == "press"
        assert page.requests == ["https://example.org/in.js"]
        assert "inner" in [message.text for message in page.console]
        page.click(*page.centre("button", frame=1))
        page.wait_for("document.querySelector('button').textContent === 'clicked'", 10, frame=1)
        with pytest.raises(BrowserError, match="no iframe 2"):
            page.evaluate("1", frame=2)


def test_workers_are_heard(browser, tmp_path):
    body = """<script>
const code = "console.warn('from the worker'); fetch('https://example.org/w').catch(() => postMessage('failed'))";
new Worker(URL.createObjectURL(new Blob([code]))).onmessage = event => { window.told = event.data };
</script>"""
    with opened(page_file(tmp_path, body), browser=browser) as page:
        assert page.wait_for("window.told") == "failed"
        assert "from the worker" in [message.text for message in page.console]
        assert page.requests == ["https://example.org/w"]


def test_a_dialog_is_reported_and_holds_nothing_up(browser, tmp_path):
    with opened(page_file(tmp_path, "<script>alert('boo'); window.after = 1</script>"), browser=browser) as page:
        assert page.evaluate("window.after") == 1
        assert page.console == [Message("dialog", "boo", page.url)]


def test_values_come_back_as_they_are_and_errors_as_errors(browser, tmp_path):
    with opened(page_file(tmp_path, ""), browser=browser) as page:
        assert page.evaluate("({a: [1, 2.5, 'ü', null, true]})") == {"a": [1, 2.5, "ü", None, True]}
        assert page.evaluate("undefined") is None
        assert page.evaluate("1 / 0") == float("inf")
        assert page.evaluate("2n ** 70n") == 2**70
        assert page.evaluate("new Promise(done => setTimeout(() => done('in time'), 20))") == "in time"
        for wrong, told in [
            ("nothing.at.all", "ReferenceError: nothing is not"),
            ("Promise.reject('no')", "no"),
            ("(", "SyntaxError"),
        ]:
            with pytest.raises(BrowserError, match=told):
                page.evaluate(wrong)
        assert page.wait_for("document.body") is True
        with pytest.raises(BrowserError, match=r"not within 0\.2 s: never"):
            page.wait_for("never", 0.2)
        with pytest.raises(BrowserError, match="no element is"):
            page.centre("#missing")


def test_the_mouse_points_presses_drags_and_turns_its_wheel(browser, tmp_path):
    body = """<div style="height: 3000px"></div><script>
window.seen = [];
for (const kind of ["mousemove", "mousedown", "mouseup", "click"])
  addEventListener(kind, event => seen.push([kind, event.clientX, event.clientY, event.buttons, event.isTrusted]));
</script>"""
    with opened(page_file(tmp_path, body), browser=browser) as page:
        page.click(40, 50)
        assert page.evaluate("seen") == [
            ["mousemove", 40, 50, 0, True],
            ["mousedown", 40, 50, 1, True],
            ["mouseup", 40, 50, 0, True],
            ["click", 40, 50, 0, True],
        ]
        page.drag((100, 100), (300, 200))
        assert page.evaluate("seen.filter(one => one[0] === 'mousemove' && one[3] === 1).at(-1)") == [
            "mousemove", 300, 200, 1, True,
        ]  # fmt: skip
        page.wheel(50, 50, 400)
        page.wait_for("scrollY === 400", 10)


def test_the_viewport_and_the_picture_have_the_size_that_was_asked_for(browser, tmp_path):
    def size(path: Path) -> tuple[int, ...]:
        return struct.unpack(">II", path.read_bytes()[16:24])

    body = "<style>body { margin: 0 }</style><div style='height: 2000px'></div>"
    with opened(page_file(tmp_path, body), browser=browser, width=400, height=300) as page:
        assert page.evaluate("[innerWidth, innerHeight, document.documentElement.clientWidth]") == [400, 300, 400]
        page.screenshot(tmp_path / "view.png")
        page.screenshot(tmp_path / "whole.png", full=True)
        assert size(tmp_path / "view.png") == (400, 300)
        assert size(tmp_path / "whole.png") == (400, 2000)
        page.resize(700, 500)
        assert page.evaluate("[innerWidth, innerHeight]") == [700, 500]


def test_a_page_that_is_not_there_is_refused(browser, tmp_path):
    with pytest.raises(FileNotFoundError), opened(tmp_path / "none.html", browser=browser):
        pass
    with pytest.raises(BrowserError, match="ERR_NAME_NOT_RESOLVED"), opened("http://example.org/", browser=browser):
        pass


def test_a_crashed_page_is_told_at_once_and_the_browser_goes_on(browser, tmp_path):
    path = page_file(tmp_path, "<p>still here</p>")
    with opened(path, browser=browser) as page, pytest.raises(BrowserError, match="crashed"):
        page.command("Page.crash")
    with opened(path, browser=browser) as page:
        assert page.evaluate("document.body.innerText") == "still here"


def alive(group: int) -> list[str]:
    """The processes of a group that still run; those that only wait to be counted as dead do not."""
    listed = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    lines = [line.split(maxsplit=2) for line in listed.splitlines()]
    return [" ".join(line) for line in lines if line[0] == str(group) and not line[1].startswith("Z")]


def test_a_dead_browser_is_told_and_leaves_nothing_behind(tmp_path):
    with launched(timeout=30) as running:
        home = running.home
        assert alive(running.process.pid)
        with opened(page_file(tmp_path, ""), browser=running) as page:
            os.kill(running.process.pid, signal.SIGKILL)
            with pytest.raises(BrowserError, match=r"the browser is gone \(status -9\)"):
                page.evaluate("1")
    assert alive(running.process.pid) == []
    assert not home.exists()


def test_what_is_no_browser_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr("tests.devtools.BINARY", sys.executable)
    with pytest.raises(BrowserError, match="unknown option"), opened(page_file(tmp_path, "")):
        pass
