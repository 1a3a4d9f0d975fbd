"""Whole numbers that a user types, read in one place and never without a bound."""

import re


def parse_whole(text: str, most: int) -> int | None:
    """The whole number from 0 to `most` that a text spells in ASCII digits; None for every other text."""
    # Python refuses to read thousands of digits, and reads digits of all scripts.
    if not re.fullmatch(r"[0-9]+", text) or len(text.lstrip("0")) > len(str(most)):
        return None
    number = int(text.lstrip("0") or "0")
    return number if number <= most else None
