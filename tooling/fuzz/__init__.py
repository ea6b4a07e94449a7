"""Fuzzing of what parses bytes that others wrote: `scripts/fuzz TARGET --seconds N`.

A *target* is a function that takes any bytes and must return: what it was given is then either
refused with an error that we mean to raise, or right. `engine.py` drives it with atheris, guided by
coverage; `mutation.py` without, for the unit test that runs all of them.
"""
