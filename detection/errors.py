"""The one exception that means "the input is wrong", as opposed to "the program is wrong"."""

LONGEST, ENDS = 700, 300
"""Characters of the longest sentence, and of what is kept at either end of a longer one."""


class InputError(ValueError):
    """Bad input from outside: a file, a flag, a field of a configuration.

    The message is one sentence that names the file or field, what is wrong, and what would be right. Command lines
    print it and exit with status 2; anything else that escapes is a defect and keeps its traceback.

    What is wrong may be a value of any length, and is quoted: of a very long sentence the middle is left out, since the
    file is named at its beginning, and what would be right at its end.
    """

    def __init__(self, sentence: object = "", *more: object) -> None:
        text = str(sentence)
        super().__init__(text if len(text) <= LONGEST else f"{text[:ENDS]} ... {text[-ENDS:]}", *more)


class DivergedError(InputError):
    """A training whose loss or gradient is no number any more, after so many ``updates``."""

    def __init__(self, sentence: str, updates: int) -> None:
        super().__init__(sentence, updates)
        self.updates = updates

    def __str__(self) -> str:
        """The sentence."""
        return str(self.args[0])
