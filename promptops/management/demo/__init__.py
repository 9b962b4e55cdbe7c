"""The demo project: three prompts whose history tells how they came about, on the model that runs here.

``story`` is the form of such a history, ``prompts`` holds the three of them, and ``making`` plays them through the
services, as the people of the project. Nothing is made up: every run is queued, executed and recorded like any other.
"""
