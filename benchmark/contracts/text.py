"""Foreign text made safe to show: no control characters, one line, of bounded length."""

MOST = 2000
"""Characters of a line; what is longer is cut in its middle."""


def printable(text: str) -> str:
    """The text with every character but newlines that a terminal would not show written as its escape.

    So no escape sequence, change of direction or lone surrogate of a foreign text reaches a terminal or a file.
    """
    return "".join(
        character if character.isprintable() or character == "\n" else _escape(character)
        for character in text
    )


def one_line(text: str, most: int = MOST) -> str:
    """The text as one printable line of at most `most` characters, runs of white space made one space."""
    if len(text) > 4 * most:
        # What is cut away need not be looked at: a text may have a thousand million characters.
        text = f"{text[: 2 * most]} {text[-2 * most :]}"
    line = printable(" ".join(text.split()))
    if len(line) <= most:
        return line
    tail = most // 3
    return f"{line[: most - tail - 3]}...{line[len(line) - tail :]}"


def describe_error(error: BaseException, most: int = MOST) -> str:
    """The kind of an error and what it says, in one line, also where it cannot say what it is."""
    try:
        name, said = str(type(error).__name__), str(error)
    except BaseException:  # noqa: BLE001 - the text of an error is a user's code too
        return f"{type.__getattribute__(type(error), '__name__')} without a readable text"
    return one_line(f"{name}: {said}" if said.strip() else name, most)


def show_value(value: object, most: int = 80) -> str:
    """A value of a user's in a message, however long it is."""
    try:
        return one_line(repr(value), most)
    except (ValueError, RecursionError):
        # Python refuses to write out an integer of thousands of digits.
        return f"{type(value).__name__} too long to show"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
