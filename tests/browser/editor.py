"""The editor's page as a person sees it: where things are, so that the tests read as what people do."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

from tests.people import Team


@dataclass(frozen=True)
class EditorPage:
    """One window with an editor in it."""

    page: Page

    def open(self, team: Team, slug: str = "greeting") -> EditorPage:
        """Open a prompt (``new``: the page of a new one), and wait until it has been previewed once."""
        self.page.goto(f"/p/{team.project.slug}/prompts/{slug}/")
        return self.ready()

    def ready(self) -> EditorPage:
        expect(self.page.locator("[data-variables-found]")).to_be_attached()
        return self

    def text(self, message: int) -> Locator:
        """The text of a message, counted from 1."""
        return self.page.locator(".message-item").nth(message - 1).locator(".cm-content")

    def write(self, message: int, text: str) -> None:
        """Replace a message's text by typing."""
        self.text(message).click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)

    @property
    def preview(self) -> Locator:
        return self.page.locator("#preview-messages")

    @property
    def status(self) -> Locator:
        return self.page.locator("[data-save-status]")

    def variable(self, name: str) -> Locator:
        """The field with the value to try."""
        return self.variable_row(name).locator("[data-part=try]")

    def variable_row(self, name: str) -> Locator:
        return self.page.locator(f"#variable-{name}")

    def toast(self, text: str) -> Locator:
        return self.page.locator(".toast-note", has_text=text)

    def save(self, message: str = "") -> None:
        """Ctrl+S, a message, Ctrl+Enter."""
        self.page.keyboard.press("Control+s")
        expect(self.page.locator("#save-message")).to_be_focused()
        self.page.keyboard.type(message)
        self.page.keyboard.press("Control+Enter")

    def settled(self) -> None:
        """Wait until what was typed is stored."""
        expect(self.status).to_contain_text("Saved")
