"""Check addresses that the settings say: no event decides the host, and nothing travels in the clear."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit


def complaint(url: str) -> str:
    """Describe what is wrong with an API's address, and what to write instead. Empty if nothing is."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("http", "https"):
        return "write the API's address as https://HOST"
    if parts.username or parts.password or parts.query or parts.fragment:
        return "the address takes no password, no ? and no #: there are `authentication:` and `query:`"
    if re.search(r"[{}\s\\\x00-\x1f]", url):
        return "the address has no places, so that no event decides the host: write them in `path:`"
    if parts.scheme == "http" and not _is_loopback(host):
        return f"events would travel in the clear: write https://{host} (http is for this machine only)"
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
