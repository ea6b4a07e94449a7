"""A laboratory on one machine: a registry and a node in network namespaces, a link of known speed.

Everything is a context manager that undoes itself; `cleanup.undo_stack` makes sure it gets to.
Needs root. The calls block (they run `ip`, `tc`, `mount`): call them from scripts or threads.
"""
