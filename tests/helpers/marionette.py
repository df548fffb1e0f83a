"""Connect Selenium to Firefox's own protocol, Marionette, as geckodriver does.

No package registry has geckodriver. Marionette's commands are those of WebDriver by other names:
https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html
"""

from __future__ import annotations

import itertools
import json
import socket
from typing import Any

from selenium.webdriver.remote.client_config import ClientConfig
from selenium.webdriver.remote.command import Command
from selenium.webdriver.remote.remote_connection import RemoteConnection

NAMES = {
    Command.NEW_SESSION: "WebDriver:NewSession",
    Command.QUIT: "Marionette:Quit",
    Command.GET: "WebDriver:Navigate",
    Command.SET_WINDOW_RECT: "WebDriver:SetWindowRect",
    Command.GET_WINDOW_RECT: "WebDriver:GetWindowRect",
    Command.FIND_ELEMENT: "WebDriver:FindElement",
    Command.CLICK_ELEMENT: "WebDriver:ElementClick",
    Command.SEND_KEYS_TO_ELEMENT: "WebDriver:ElementSendKeys",
    Command.W3C_EXECUTE_SCRIPT: "WebDriver:ExecuteScript",
    Command.SCREENSHOT: "WebDriver:TakeScreenshot",
}
SECONDS = 120  # that an answer may take


class MarionetteConnection(RemoteConnection):
    """A connection to the Firefox that listens on a port of this machine."""

    def __init__(self, port: int) -> None:
        super().__init__(client_config=ClientConfig(remote_server_addr=f"http://127.0.0.1:{port}"))
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self._reader = self._socket.makefile("rb")
        self._numbers = itertools.count(1)
        assert self._receive()["marionetteProtocol"] == 3

    def execute(self, command: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a command of Selenium's, and return the answer as WebDriver would."""
        number = next(self._numbers)
        if command == Command.SCREENSHOT:
            params = {**params, "full": False}  # what is in sight
        message = json.dumps([0, number, NAMES[command], params]).encode()
        self._socket.sendall(b"%d:%b" % (len(message), message))
        _, answered, error, result = self._receive()
        assert answered == number
        if error:
            return {"status": error["error"], "value": error}
        return result if "value" in result else {"value": result}

    def close(self) -> None:
        """Hang up."""
        self._reader.close()
        self._socket.close()

    def _receive(self) -> Any:
        """Return the next message: its length in digits, a colon, JSON."""
        digits = b""
        while (digit := self._reader.read(1)) != b":":
            assert digit, "Firefox has hung up"
            digits += digit
        return json.loads(self._reader.read(int(digits)))
