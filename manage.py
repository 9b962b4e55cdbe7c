#!/usr/bin/env python
"""The command line of PromptOps: `python manage.py help`."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promptops.settings")
    _data_dir_from_arguments(sys.argv[2:])
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


def _data_dir_from_arguments(arguments: list[str]) -> None:
    """`--data-dir` decides where the settings find their secrets and sockets, so it has to be known before they load."""
    for position, argument in enumerate(arguments):
        if argument == "--data-dir" and position + 1 < len(arguments):
            os.environ["DATA_DIR"] = arguments[position + 1]
        elif argument.startswith("--data-dir="):
            os.environ["DATA_DIR"] = argument.partition("=")[2]


if __name__ == "__main__":
    main()
