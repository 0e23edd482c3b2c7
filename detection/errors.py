"""The one exception that means "the input is wrong", as opposed to "the program is wrong"."""


class InputError(ValueError):
    """Bad input from outside: a file, a flag, a field of a configuration.

    The message is one sentence that names the file or field, what is wrong, and what would be right. Command lines
    print it and exit with status 2; anything else that escapes is a defect and keeps its traceback.
    """
