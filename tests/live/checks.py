"""What every state of the live page has to keep, whatever it shows: names for all controls, contrast, room for a
finger, a focus that is seen and goes down the page, and no scrolling sideways.

Each check returns what is wrong, in words; nothing is an empty list. The browser's own tree of accessibility is asked
for names and roles: it is what a screen reader is told.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from playwright.sync_api import Page

# WCAG 2.2, 1.4.3 (AA): the least contrast of text, and of large text, from 24 px or in bold from 18.66 px.
CONTRAST: Final = 4.5
CONTRAST_LARGE: Final = 3.0
# CSS pixels (WCAG 2.2, 2.5.5).
FINGER: Final = 44
_CONTROLS: Final = frozenset({"button", "link", "searchbox", "textbox", "checkbox"})

_PARTS: Final = ("banner", "navigation", "main", "table", "columnheader", "status")
_SCRIPT: Final = Path(__file__).with_name("checks.js").read_text()
_FAULTS: Final = {
    "seen": "its focus is not seen",
    "forth": "stands before the last one",
    "onScreen": "is off the screen",
}


def _look(page: Page, check: str, given: object = None) -> Any:
    # By the debugger: the page's policy forbids what a script of its own would evaluate.
    return page.evaluate(f"(given) => {_SCRIPT.strip()}.{check}(given)", given)


def low_contrast(page: Page) -> list[str]:
    """Texts that are too pale for what is behind them."""
    return list(_look(page, "lowContrast", [CONTRAST, CONTRAST_LARGE]))


def too_small(page: Page) -> list[str]:
    """Controls that a finger does not hit."""
    return list(_look(page, "tooSmall", FINGER))


def sideways(page: Page) -> list[str]:
    """What is wider than the window."""
    return list(_look(page, "sideways"))


def accessibility(page: Page) -> list[dict[str, Any]]:
    """The nodes that a screen reader is told of, in order: role, name and properties."""
    session = page.context.new_cdp_session(page)
    try:
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    finally:
        session.detach()
    return [
        {
            "role": node["role"]["value"],
            "name": node.get("name", {}).get("value", ""),
            **{one["name"]: one["value"].get("value") for one in node.get("properties", ())},
        }
        for node in nodes
        if not node["ignored"] and "role" in node
    ]


def nameless(page: Page) -> list[str]:
    """Controls, and parts that can have the focus, that a screen reader has no name for."""
    nodes = accessibility(page)
    assert any(node["role"] in _CONTROLS for node in nodes)
    return [
        node["role"]
        for node in nodes
        if (node["role"] in _CONTROLS or node.get("focusable")) and not node["name"] and node["role"] != "main"
    ]


def structure(page: Page) -> list[str]:
    """What a screen reader goes by, and does not find: landmarks, headings that skip no level, parts of tables."""
    nodes = accessibility(page)
    roles = [node["role"] for node in nodes]
    wrong = [
        f"no {role}"
        for role in ("banner", "navigation", "main", "table", "columnheader", "status")
        if role not in roles
    ]
    levels = [int(node["level"]) for node in nodes if node["role"] == "heading"]
    wrong += ["not one heading of the first level"] if levels.count(1) != 1 else []
    wrong += [f"level {two} after {one}" for one, two in pairwise(levels) if two > one + 1]
    wrong += ["a table without a caption" for node in nodes if node["role"] == "table" and not node["name"]]
    wrong += ["a region without a name" for node in nodes if node["role"] == "region" and not node["name"]]
    return wrong


def focus_walk(page: Page, steps: int) -> tuple[list[str], list[str]]:
    """Press Tab *steps* times from the top: the labels that had the focus in turn, and what was wrong on the way."""
    _look(page, "fromTheTop")
    labels, wrong = list[str](), list[str]()
    for _ in range(steps):
        page.keyboard.press("Tab")
        found = _look(page, "focused")
        if found["outside"]:
            break
        labels.append(found["label"])
        wrong += [f"{labels[-1]}: {fault}" for key, fault in _FAULTS.items() if not found[key]]
    return labels, wrong
