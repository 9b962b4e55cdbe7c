"""What runs inside the render process: the three syntaxes and the loop that serves jobs.

The modules here import the standard library, MiniJinja and one another, nothing else: the render process is started
with this folder's parent on its path, so that it never imports Django and is ready in tens of milliseconds.
"""
