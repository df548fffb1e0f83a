"""Say what a browser may do with an answer: headers, and the content security policy of pages."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable

from gradio.utils import get_space

FRAMES = "frame-ancestors 'self' https://huggingface.co https://*.hf.space"  # Spaces embed the page
NO_PAGE = (
    "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline';"
    " sandbox allow-same-origin; "  # of that origin, or a film that is opened would not play
    + FRAMES
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # the address of a result is a secret
    "Permissions-Policy": "camera=(self), clipboard-read=(self), clipboard-write=(self),"
    " fullscreen=(self), display-capture=(), geolocation=(), hid=(), microphone=(), midi=(),"
    " payment=(), serial=(), usb=()",
    "Content-Security-Policy": NO_PAGE,
}
INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)


def scripts_in(page: bytes) -> list[str]:
    """Return the sources that a policy must allow for the inline scripts of a page to run."""
    hashes = (hashlib.sha256(script).digest() for script in INLINE_SCRIPT.findall(page))
    return [f"'sha256-{base64.b64encode(each).decode()}'" for each in hashes]


def page_policy(scripts: Iterable[str]) -> str:
    """Return what the page may load and run: its own, and these inline scripts.

    On a Space also what Gradio's header of the Hub shows. Gradio compiles its events' JavaScript,
    hence 'unsafe-eval', and sets styles inline.
    """
    hub = {
        "img-src": "https://huggingface.co https://*.huggingface.co",
        "connect-src": "https://huggingface.co",
        "style-src": "https://fonts.googleapis.com",
        "font-src": "https://fonts.gstatic.com",
    }
    policy = {
        "default-src": "'none'",
        "script-src": f"'self' 'unsafe-eval' {' '.join(dict.fromkeys(scripts))}",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "media-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self' data: blob:",
        "manifest-src": "'self'",
        "base-uri": "'self'",
        "form-action": "'self'",
    }
    for name, hosts in hub.items() if get_space() else ():
        policy[name] += " " + hosts
    return "; ".join(f"{name} {sources}" for name, sources in policy.items()) + "; " + FRAMES
