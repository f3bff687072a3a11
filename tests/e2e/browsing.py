"""A real browser on the dashboard, and what it noticed meanwhile."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM: Final = os.environ.get("NEXUS_CHROMIUM", "/usr/bin/chromium")
AXE: Final = Path(__file__).parents[2] / ".venv/browser/node_modules/axe-core"
PATIENCE_MS: Final = 90_000

WIDE: Final = (1280, 900)
PHONE: Final = (375, 720)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's browser; root has no sandbox."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@dataclass
class Visit:
    """One tab, from its opening on."""

    page: Page
    errors: list[str] = field(default_factory=list)
    """What the console and the scripts complain of."""
    hosts: set[str] = field(default_factory=set)
    """Of all that was asked for."""

    def see(self, selector: str, text: str = "") -> None:
        """Return once this is to be seen there."""
        place = self.page.locator(selector)
        if text:
            place = place.filter(has_text=text)
        place.first.wait_for(state="visible", timeout=PATIENCE_MS)

    def text(self, selector: str) -> str:
        return self.page.locator(selector).first.inner_text()

    def figure(self, node_id: str, name: str) -> float:
        """What the table of nodes says."""
        cell = f'tr[data-node="{node_id}"] [data-figure="{name}"]'
        return float(self.page.locator(cell).get_attribute("data-value") or "nan")

    def do(self, node_id: str, action: str) -> None:
        """Press a node's button; its dialog opens."""
        self.page.click(f'tr[data-node="{node_id}"] [data-action="{action}"]')
        self.see("#dialog[open]")

    def confirm(self) -> str:
        """Confirm, and wait for what came of it, in words."""
        self.page.click("#dialog-confirm")
        self.see(".outcome")
        return self.text(".outcome")

    def overflows(self) -> bool:
        """Whether one has to scroll sideways."""
        return bool(
            self.page.evaluate(
                "document.documentElement.scrollWidth > document.documentElement"
                ".clientWidth"
            )
        )

    def violations(self) -> list[str]:
        """What axe-core objects to, in WCAG 2.2 AA and its best practices."""
        self.page.evaluate((AXE / "axe.min.js").read_text())
        found: dict[str, Any] = self.page.evaluate("axe.run()")
        return [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in found["violations"]
            for node in one["nodes"]
        ]


def visit(
    browser: Browser,
    url: str,
    size: tuple[int, int] = WIDE,
    scheme: Literal["light", "dark"] = "light",
) -> Visit:
    """Open the dashboard there."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        reduced_motion="reduce",
        ignore_https_errors=True,
    )
    seen = Visit(context.new_page())
    page = seen.page
    page.set_default_timeout(PATIENCE_MS)
    page.on(
        "console",
        lambda message: (
            seen.errors.append(message.text)
            if message.type in ("error", "warning")
            else None
        ),
    )
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("request", lambda request: seen.hosts.add(urlsplit(request.url).netloc))
    page.goto(url)
    return seen
