#!/usr/bin/env python
"""The command line of PromptOps: `python manage.py help`."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promptops.settings")
    _environment_from_arguments(sys.argv[1:])
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    try:
        execute_from_command_line(sys.argv)
    except OperationalError as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"The database says: {str(error).strip()}\nDoes it run? `manage.py up` starts all that is needed.")


def _environment_from_arguments(arguments: list[str]) -> None:
    """The settings follow from the data directory (secrets, sockets) and the port, so both come first."""
    names = {"--data-dir": "DATA_DIR"}
    if arguments[:1] == ["up"]:
        names["--port"] = "PORT"
    if arguments[:1] not in (["up"], ["process"]):
        os.environ.setdefault("DATABASE_POOL", "0")  # a command needs one connection, and hears at once of a failure
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        option, equals, value = argument.partition("=")
        if option in names:
            os.environ[names[option]] = value if equals else following


if __name__ == "__main__":
    main()
