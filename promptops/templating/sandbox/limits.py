"""The limits of a render, in one place, each with its reason.

They are set so that an honest prompt never meets them and a hostile one ends in seconds. All sizes are bytes of
UTF-8.
"""

from __future__ import annotations

# About half a million tokens of English, more than the context window of most models. Both sides of the pipe hold a
# few copies of a text while it is encoded, so this also bounds how far memory grows.
MAX_INPUT_BYTES = 2 * 1024 * 1024
MAX_OUTPUT_BYTES = 2 * 1024 * 1024

# The text of all messages of a template together. A document belongs in a variable.
MAX_TEMPLATE_BYTES = 1024 * 1024

# Tags in one message. Bounds what the parsers, and the lists of uses they return, can take in time and memory.
MAX_TAGS = 10_000
# Words and operators in one tag, and uses of variables in a whole template; for the same reason.
MAX_TOKENS = 5_000
# Characters of a mustache tag that is no comment.
MAX_TAG_CHARS = 1_000
MAX_USES = 10_000

# Nesting of sections, blocks and JSON values: below MiniJinja's own parser limit of 150, so that a value that we
# accept can always be written as a literal.
MAX_DEPTH = 60

# MiniJinja counts about one unit an instruction: this is some 0.3 s of work, a hundred times what a long prompt
# needs.
JINJA_FUEL = 3_000_000

# Nodes that a mustache render may visit: some 0.3 s in Python.
MUSTACHE_STEPS = 300_000

# Prompts inside prompts: deeper than any that people can follow.
MAX_INCLUDE_DEPTH = 10

# Messages of a prompt, its includes put in.
MAX_MESSAGES = 200

# Seconds of CPU for one job (a whole template), enforced by a timer in the render process, and seconds on the wall,
# enforced by whoever waits. Two clocks, because a busy machine must not fail an honest render.
CPU_SECONDS = 1.0
WALL_SECONDS = 2.0

# Address space that the render process may take on top of what it has after its imports.
MEMORY_BYTES = 48 * 1024 * 1024

# A fresh process after so many jobs, so that nothing can pile up in it.
JOBS_BEFORE_RECYCLING = 20_000
