"""What a plain (unquoted) YAML word means, and which words are refused because readers disagree about them."""

from __future__ import annotations

import math
import re

__all__ = ["ScalarError", "read_plain"]

_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_SWITCH_WORDS = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_HEX = re.compile(r"[-+]?0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?[0-9]+\.[0-9]*([eE][-+][0-9]+)?", re.ASCII)
_POINT_FIRST = re.compile(r"[-+]?\.[0-9]+([eE][-+]?[0-9]+)?", re.ASCII)
_LOOSE_FLOAT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+", re.ASCII)
_LEADING_ZERO = re.compile(r"[-+]?(0[0-9]+|0o[0-7]+|0b[01]+)", re.ASCII)
_UNDERSCORED = re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)
_MAX_DIGITS = 20


class ScalarError(ValueError):
    """A plain word that is refused."""

    def __init__(self, *, what: str, allowed: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what, self.allowed, self.fix = what, allowed, fix


def read_plain(text: str) -> str | int | float | bool | None:
    """Return the value of a plain word.

    Raises
    ------
    ScalarError
        If readers of YAML disagree about the word, or if it is a number out of range.
    """
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first in "0123456789+-.":
        return _read_number(text)
    switch = _SWITCH_WORDS.get(text.lower()) if len(text) <= 3 else None
    if switch is not None:
        raise ScalarError(
            what=f"some readers take {text} for a truth value and others for text",
            allowed="true, false, or text in quotes",
            fix=f'write {switch} or "{text}"',
        )
    return text


def _read_number(text: str) -> str | int | float:
    if _INT.fullmatch(text):
        return _bounded(text, 10)
    if _FLOAT.fullmatch(text):
        return _finite(text)
    if _HEX.fullmatch(text):
        return _bounded(text, 16)
    if _LOOSE_FLOAT.fullmatch(text) or _POINT_FIRST.fullmatch(text):
        raise ScalarError(
            what="some readers take this for text and others for a number",
            allowed="a number with a digit before the point, and with a point and a sign if it has an exponent",
            fix=f"write {_unambiguous(text)}",
        )
    if _LEADING_ZERO.fullmatch(text):
        raise ScalarError(
            what="some readers take a number with a leading zero for octal",
            allowed="decimal or 0x numbers",
            fix=f'write "{text}" in quotes for text, or the decimal number without a leading zero',
        )
    if _UNDERSCORED.fullmatch(text):
        raise ScalarError(
            what="some readers take a number with underscores for text",
            allowed="digits only",
            fix=f'write {text.replace("_", "")}, or "{text}" in quotes for text',
        )
    if _NOT_FINITE.fullmatch(text):
        raise ScalarError(
            what="a number is not finite", allowed="finite numbers", fix="leave the key out, or give a number"
        )
    return text


def _bounded(text: str, base: int) -> int:
    if len(text) > _MAX_DIGITS or not -(2**63) <= (value := int(text, base)) < 2**63:
        raise ScalarError(what="a number is out of range", allowed="whole numbers from -2^63 to 2^63-1")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ScalarError(what="a number is out of range", allowed="finite numbers")
    return value


def _unambiguous(text: str) -> str:
    """Write a number so that YAML 1.1 and YAML 1.2 readers both take it for one."""
    value = float(text)
    if not math.isfinite(value):
        return "a finite number"
    if value == int(value) and abs(value) < 1e15:
        whole = f"{int(value)}"
        mantissa, _, exponent = f"{value:e}".partition("e")
        mantissa = mantissa.rstrip("0")
        mantissa = mantissa + "0" if mantissa.endswith(".") else mantissa
        sign, digits = exponent[0], exponent[1:].lstrip("0") or "0"
        return f"{mantissa}e{sign}{digits} or {whole}" if abs(value) >= 1e6 else whole
    shown = repr(value)
    if "e" in shown:
        mantissa, _, exponent = shown.partition("e")
        mantissa = mantissa if "." in mantissa else mantissa + ".0"
        return f"{mantissa}e{exponent if exponent[0] in '+-' else '+' + exponent}"
    return shown
