"""The live page in a real Chromium, on a real daemon: what is seen, heard, pressed and kept while the daemon lives,
works, dies and comes back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import pytest

from tests.live import checks
from tests.live.rig import DESKTOP, MARKUP, PHONE, SECRETS, LiveDaemon, Window, leaks, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")


@pytest.fixture(scope="module")
def window(browser: Browser, live: LiveDaemon) -> Iterator[Window]:
    """The page on a desktop."""
    opened = Window(browser, live.address(), **DESKTOP)
    yield opened.ready()
    opened.close()


def processes(state: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The processes of *state*, from the top."""
    todo = [state["tree"]]
    while todo:
        one = todo.pop(0)
        yield one
        todo += one["children"]


def test_the_tree_and_all_else_is_there_as_text_and_no_value(window: Window, live: LiveDaemon) -> None:
    page = window.page
    live.load()
    names = ("secrets_actor", "infra", "timers", "core", "workers", "secrets", "faces", "watchdog", "listeners")
    for name in names:
        window.process(name).wait_for()
    window.process("worker").first.wait_for()
    assert page.locator("h1").inner_text() == "All is well"
    assert page.url == f"http://127.0.0.1:{live.port}/live", "the key is no more in the address"
    state = live.state(window.context)
    until(lambda: int(page.locator("#gauges .value").first.inner_text()) >= SECRETS, "the hits")
    assert page.locator("#secrets .count").inner_text() == str(len(state["secrets"])) == str(SECRETS)
    assert {one["address"] for one in state["listeners"]} == set(
        page.locator("#listeners .subject bdi").all_inner_texts()
    )

    # A process that is called like HTML is text.
    [row] = [one for one in page.locator(".process .name").all_inner_texts() if MARKUP in one]
    assert row.startswith("listener unix:")
    assert page.locator("img, iframe, object, embed, link[rel=stylesheet], script[src]").count() == 0

    shown = page.evaluate("() => document.documentElement.outerHTML")
    assert "secret-1" in shown
    assert not leaks(live.values, shown, str(state), *window.headers)


def test_secrets_are_found_sorted_and_shown_in_part(window: Window, live: LiveDaemon) -> None:
    page = window.page
    rows, names = page.locator("#secrets tbody tr"), page.locator("#secrets .subject bdi")
    assert rows.count() < SECRETS
    assert names.all_inner_texts()[:3] == ["app0/secret-0", "app0/secret-5", "app0/secret-10"]
    place = page.locator("#secrets td[data-label=Source] span").first
    assert (place.inner_text(), place.get_attribute("title")) == ("store", str(live.socket.parent / "store"))
    page.get_by_role("button", name=f"Show all {SECRETS}").press("Enter")
    until(lambda: rows.count() == SECRETS, "all rows")
    page.get_by_role("searchbox", name="Filter by name").fill("app3/SECRET-3")
    until(lambda: names.all_inner_texts() == ["app3/secret-3", "app3/secret-33", "app3/secret-38"], "the filter")
    sort = page.locator("#secrets .sort", has_text="Name")
    sort.press("Enter")
    assert names.all_inner_texts() == ["app3/secret-38", "app3/secret-33", "app3/secret-3"]
    assert page.locator("#secrets th[aria-sort=descending]").inner_text() == "Name"
    sort.press("Enter")
    page.get_by_role("searchbox", name="Filter by name").fill("no such secret")
    page.get_by_text("No name has this in it.").wait_for()
    page.get_by_role("searchbox", name="Filter by name").fill("")
    page.get_by_role("button", name="Show fewer").press("Enter")


def test_a_worker_that_ends_is_seen_to_be_restarted(window: Window, live: LiveDaemon) -> None:
    page = window.page
    live.load(1)
    row = window.process("worker").first
    button = row.get_by_role("button", name="Restart worker")
    label = button.get_attribute("aria-label") or ""
    serial = int(label.partition("#")[2])

    # First it asks, with the focus on the harmless answer; Escape leaves all as it is, and the focus where it was.
    button.press("Enter")
    page.get_by_role("dialog", name="Restart worker?").wait_for()
    assert page.evaluate("() => document.activeElement.textContent") == "Cancel"
    assert not checks.low_contrast(page)
    page.keyboard.press("Escape")
    assert page.evaluate("() => document.activeElement.getAttribute('aria-label')") == label
    assert serial in {one["serial"] for one in processes(live.state(window.context))}

    button.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Restart").press("Enter")
    page.locator(".toast").get_by_text(re.compile("worker")).wait_for()
    page.locator(".process .lately:visible").wait_for()
    until(lambda: "worker was restarted" in page.locator("#announcements").inner_text(), "what a screen reader is told")
    assert page.get_by_label(label, exact=True).count() == 0, "the process is another one"
    page.locator("#events .what", has_text=re.compile("restart", re.IGNORECASE)).first.wait_for()
    assert serial not in {one["serial"] for one in processes(live.state(window.context))}


def test_a_process_that_may_not_be_restarted_says_why(window: Window) -> None:
    button = window.process("secrets_actor").get_by_role("button", name="Restart secrets_actor")
    assert button.get_attribute("aria-disabled") == "true"
    button.press("Enter")
    toast = window.page.locator(".toast.bad").last
    assert toast.inner_text().strip() == button.get_attribute("title")
    toast.get_by_role("button", name="Dismiss").press("Enter")
    assert window.page.locator("dialog[open]").count() == 0


def test_a_secret_is_refreshed(window: Window, live: LiveDaemon) -> None:
    def fetched(name: str) -> float:
        return next(float(one["fetched_at"]) for one in live.state(window.context)["secrets"] if one["name"] == name)

    page, before = window.page, fetched("app0/secret-0")
    page.get_by_role("button", name="Refresh app0/secret-0 now").press("Enter")
    page.get_by_role("dialog", name="Refresh now?").get_by_role("button", name="Refresh now").press("Enter")
    page.locator(".toast:not(.bad)").get_by_text("app0/secret-0").wait_for()
    until(lambda: fetched("app0/secret-0") > before, "a newer value")


def test_an_update_leaves_focus_selection_place_and_closed_branches(window: Window, live: LiveDaemon) -> None:
    page = window.page
    branch = page.get_by_role("button", name="Processes under core")
    branch.press("Enter")
    assert branch.get_attribute("aria-expanded") == "false"
    heading = page.locator("#secrets-heading")
    heading.evaluate("(one) => { getSelection().selectAllChildren(one); one.scrollIntoView(); }")
    button = page.get_by_role("button", name="Refresh app0/secret-0 now")
    button.focus()
    place = page.evaluate("() => scrollY")
    assert place > 0

    live.create("app0/a-new-one", "of no interest")
    live.get("app0/a-new-one")  # its row comes before the one that has the focus
    count = page.locator("#secrets .count")
    until(lambda: count.inner_text() == str(SECRETS + 1), "the new secret")
    assert button.evaluate("(one) => one === document.activeElement")
    assert page.evaluate("() => [String(getSelection()), scrollY]") == ["Secrets", place]
    assert branch.get_attribute("aria-expanded") == "false"
    branch.press("Enter")


def test_the_page_comes_back_with_the_daemon(browser: Browser, live: LiveDaemon) -> None:
    window = Window(browser, live.address(), **DESKTOP)
    page = window.ready().page
    pid = page.locator("#facts div", has_text="Process").locator("dd")
    assert pid.inner_text() == str(live.daemon.pid)
    live.daemon.kill()
    window.connection("reconnecting")
    page.get_by_text("The daemon cannot be reached").wait_for()
    assert "Reconnecting, for" in page.locator("#connection").inner_text()
    button = page.get_by_role("button", name=re.compile("^Restart timers"))
    assert button.get_attribute("aria-disabled") == "true"
    assert window.process("timers").is_visible(), "what was known stays"

    live.daemon.start()
    window.connection("live")
    until(lambda: pid.inner_text() == str(live.daemon.pid), "the state of the new daemon")
    assert button.get_attribute("aria-disabled") is None
    assert page.get_by_text("The daemon cannot be reached").count() == 0
    window.process("watchdog").wait_for()

    # A session that has ended says what to do.
    window.context.clear_cookies()
    live.daemon.kill()
    live.daemon.start()
    window.connection("over")
    page.get_by_text("run secrets-actor live").first.wait_for()
    window.close()


@pytest.mark.parametrize("device", ["desktop", "phone"])
def test_each_may_read_and_use_it(browser: Browser, live: LiveDaemon, screenshots: Path, device: str) -> None:
    context = DESKTOP if device == "desktop" else PHONE
    live.load()
    window = Window(browser, live.address(), **context, reduced_motion="reduce")
    page = window.ready().page
    live.load()
    page.locator(".gauge .line").first.wait_for()  # the load is seen
    wrong: dict[str, list[str]] = {}
    for scheme in SCHEMES:
        window.draw(scheme)
        page.screenshot(path=screenshots / f"{device}-{scheme}.png")
        page.screenshot(path=screenshots / f"{device}-{scheme}-whole.png", full_page=True)
        wrong[f"contrast, {scheme}"] = checks.low_contrast(page)
    wrong["names"], wrong["structure"] = checks.nameless(page), checks.structure(page)
    wrong["sideways"] = checks.sideways(page)
    if device == "phone":
        wrong["small"] = checks.too_small(page)
        page.set_viewport_size({"width": 360, "height": 640})
        wrong["sideways, at 360 px"] = checks.sideways(page)
    labels, wrong["focus"] = checks.focus_walk(page, 25)
    assert labels[:2] == ["Skip to the content", "Processes"]
    assert "Collapse all" in labels
    assert not any(wrong.values()), wrong
    window.close()
