"""Personal data in a text, by pattern: where it stands, and the text with names in its place.

What cannot be a person's is let through: numbers whose check digits are wrong, addresses that
are reserved for documentation or private networks, telephone numbers reserved for fiction. All
patterns have bounded lengths, so that time grows with the text alone.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import NamedTuple

Check = Callable[[re.Match[str]], bool]


class Finding(NamedTuple):
    """One stretch of a text."""

    start: int
    end: int
    kind: str


class _Rule(NamedTuple):
    kind: str
    pattern: re.Pattern[str]
    check: Check


def find(text: str) -> list[Finding]:
    """What is found, in the order of the text; no two overlap, the surer rule is first."""
    found: list[Finding] = []
    for hints, rules in _RULES.items():
        if any(hint in text for hint in hints):
            for rule in rules:
                hits = _of_rule(rule, text)
                found += hits
                text = _without(text, hits)
    return sorted(found)


def mask(text: str) -> str:
    """The text with the kind of each finding in its place, such as <EMAIL>."""
    parts, end = [], 0
    for finding in find(text):
        parts += [text[end : finding.start], f"<{finding.kind}>"]
        end = finding.end
    return "".join([*parts, text[end:]])


def _of_rule(rule: _Rule, text: str) -> list[Finding]:
    return [
        Finding(match.start(), match.end(), rule.kind)
        for match in rule.pattern.finditer(text)
        if rule.check(match)
    ]


def _without(text: str, hits: list[Finding]) -> str:
    """The text with blanks in the place of hits, so that no other rule finds a part of them."""
    parts, end = [], 0
    for hit in hits:
        parts += [text[end : hit.start], " " * (hit.end - hit.start)]
        end = hit.end
    return "".join([*parts, text[end:]])


def _is_personal_mail(match: re.Match[str]) -> bool:
    """RFC 2606 keeps some domains for examples."""
    labels = match["domain"].lower().split(".")
    reserved = labels[-1] in ("example", "test", "invalid", "localhost")
    return not reserved and ".".join(labels[-2:]) not in _EXAMPLE_DOMAINS


def _is_card(match: re.Match[str]) -> bool:
    """The issuer's first digits, and Luhn's check."""
    digits = [int(char) for char in match.group() if char.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(match: re.Match[str]) -> bool:
    """ISO 7064, modulus 97: the country to the end, letters as numbers from 10 on."""
    account = match.group().replace(" ", "")
    turned = account[4:] + account[:4]
    return int("".join(str(int(char, 36)) for char in turned)) % 97 == 1


def _is_public_ipv4(match: re.Match[str]) -> bool:
    """Four small numbers are a version's or section's; of addresses, 1 in 256 looks like one."""
    address, start = match.group(), match.start()
    before = match.string[max(0, start - 16) : start]
    large = max(map(int, address.split("."))) > _LARGEST_OF_VERSION
    return large and not _VERSION.search(before) and _is_global(address)


def _is_public_ipv6(match: re.Match[str]) -> bool:
    return _is_global(match.group())


def _is_global(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def _is_real_phone(match: re.Match[str]) -> bool:
    """E.164 allows 15 digits; 555-0100 to 555-0199 are kept for fiction."""
    digits = "".join(char for char in match.group() if char.isdigit())
    fiction = len(digits) >= 10 and digits[-7:-2] == "55501"
    return 8 <= len(digits) <= 15 and not fiction


def _always(match: re.Match[str]) -> bool:
    return True


_LARGEST_OF_VERSION = 63
_EXAMPLE_DOMAINS = ("example.com", "example.org", "example.net")
_VERSION = re.compile(
    r"(?:\b(?:versions?|releases?|builds?|sections?|chapters?|v)\.?|§)\s*$", re.IGNORECASE
)

_MAIL = re.compile(
    r"(?<![\w.%+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@"
    r"(?P<domain>(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})(?![\w-])"
)
_IBAN = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"
)
_CARD = re.compile(
    r"(?<![\w.+-])(?:[2-6][0-9]{12,18}"
    r"|[2-6][0-9]{3}(?P<four>[ -])[0-9]{4}(?P=four)[0-9]{4}(?P=four)[0-9]{4}"
    r"|3[47][0-9]{2}(?P<five>[ -])[0-9]{6}(?P=five)[0-9]{5})(?![\w-]|\.[0-9])"
)
_SSN = re.compile(r"(?<![\w-])(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![\w-])")
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_IPV4 = re.compile(rf"(?<![\w.-]){_OCTET}(?:\.{_OCTET}){{3}}(?![\w-]|\.[0-9])")
_IPV6 = re.compile(r"(?<![\w:.])[23][0-9A-Fa-f]{3}(?::{1,2}[0-9A-Fa-f]{1,4}){1,7}(?:::)?(?![\w:])")
_PHONE = re.compile(
    r"(?<![\w+.-])(?:\+[1-9](?:[ ().-]{0,2}[0-9]){7,14}"
    r"|(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4})"
    r"(?![\w-]|\.[0-9])"
)

_RULES = {
    "@": (_Rule("EMAIL", _MAIL, _is_personal_mail),),
    "0123456789": (
        _Rule("IBAN", _IBAN, _is_iban),
        _Rule("CARD", _CARD, _is_card),
        _Rule("IP", _IPV4, _is_public_ipv4),
        _Rule("IP", _IPV6, _is_public_ipv6),
        _Rule("SSN", _SSN, _always),
        _Rule("PHONE", _PHONE, _is_real_phone),
    ),
}
"""By the characters without which there is nothing to find; surer rules first."""
