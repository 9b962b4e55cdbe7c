"""Measurements, each a command that prints one JSON object: `python -m bench.resolve`, `python -m bench.batch`.

Each brings its own services in a temporary directory, measures against a limit that is found in the same run on the
same machine, and leaves nothing behind.
"""
