"""What a visitor does in a browser that Selenium drives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement

from helpers.browsing import ARTIFACTS
from helpers.waiting import until

NAMED = "document.querySelector(arguments[0])"


class Tab:
    """A browser's only tab. Elements are named by CSS selectors."""

    def __init__(self, driver: WebDriver) -> None:
        self.driver = driver

    def ask(self, expression: str, *arguments: Any) -> Any:
        """Return what an expression in JavaScript has for its value."""
        return self.driver.execute_script(f"return {expression}", *arguments)

    def is_so(self, selector: str, condition: str, value: object = None) -> bool:
        """Tell whether a condition in JavaScript holds for `element` and `value`."""
        holds = f"((element, value) => Boolean(element && ({condition})))"
        return bool(self.ask(f"{holds}({NAMED}, arguments[1])", selector, value))

    def wait_for(self, selector: str, condition: str = "true", value: object = None) -> None:
        """Wait until a condition holds for `element` and `value`."""
        until(lambda: self.is_so(selector, condition, value), f"{selector}: {condition} ({value})")

    def attribute(self, selector: str, name: str) -> str:
        """Return an attribute of an element as it is written in the page."""
        return str(self.ask(f"{NAMED}.getAttribute(arguments[1])", selector, name))

    def resize(self, width: int, height: int) -> None:
        """Give the page this many pixels, whatever the window has around it."""
        self.driver.set_window_rect(0, 0, width, height)
        inner_width, inner_height = self.ask("[innerWidth, innerHeight]")
        self.driver.set_window_rect(0, 0, 2 * width - inner_width, 2 * height - inner_height)
        self.wait_for(":root", "innerWidth + ' ' + innerHeight === value", f"{width} {height}")

    def find(self, selector: str) -> WebElement:
        """Scroll an element to where nothing covers it."""
        element = self.driver.find_element(By.CSS_SELECTOR, selector)
        self.ask("arguments[0].scrollIntoView({ block: 'center', behavior: 'instant' })", element)
        return element

    def click(self, selector: str) -> None:
        self.find(selector).click()

    def press(self, selector: str, *keys: str) -> None:
        self.find(selector).send_keys(*keys)

    def fill(self, selector: str, text: str) -> None:
        """Type over what a field holds, and leave it."""
        field = self.find(selector)
        self.ask("[arguments[0].focus(), arguments[0].select()]", field)
        field.send_keys(text, Keys.TAB)

    def upload(self, selector: str, path: Path) -> None:
        """Choose a file, in a field that need not be in sight."""
        self.driver.find_element(By.CSS_SELECTOR, selector).send_keys(str(path))

    def screenshot(self, moment: str) -> None:
        """Keep what is in sight."""
        ARTIFACTS.mkdir(exist_ok=True)
        name = f"{self.driver.name.lower()}_{self.ask('innerWidth')}_{moment}.png"
        self.driver.save_screenshot(str(ARTIFACTS / name))
