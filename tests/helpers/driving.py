"""What a visitor does in a browser that Selenium drives."""

from __future__ import annotations

from typing import Any

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement

from helpers.browsing import ARTIFACTS
from helpers.waiting import until


class Tab:
    """A browser's only tab. Elements are named by CSS selectors, conditions are JavaScript."""

    def __init__(self, driver: WebDriver) -> None:
        self.driver = driver

    def resize(self, width: int, height: int) -> None:
        """Give the page this many pixels, whatever the window has around it."""
        self.driver.set_window_rect(0, 0, width, height)
        inner_width, inner_height = self.ask("[innerWidth, innerHeight]")
        self.driver.set_window_rect(0, 0, 2 * width - inner_width, 2 * height - inner_height)
        self.wait("innerWidth === arguments[0] && innerHeight === arguments[1]", width, height)

    def ask(self, expression: str, *arguments: Any) -> Any:
        return self.driver.execute_script(f"return {expression}", *arguments)

    def wait(self, condition: str, *arguments: Any) -> None:
        until(lambda: self.ask(condition, *arguments), f"{condition} {arguments or ''}")

    def attribute(self, selector: str, name: str) -> str:
        return str(self.ask(f"document.querySelector('{selector}').getAttribute('{name}')"))

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

    def upload(self, selector: str, path: object) -> None:
        self.driver.find_element(By.CSS_SELECTOR, selector).send_keys(str(path))

    def screenshot(self, name: str) -> None:
        """Keep what is in sight."""
        ARTIFACTS.mkdir(exist_ok=True)
        self.driver.save_screenshot(str(ARTIFACTS / f"{name}.png"))
