"""How a machine gets what this project needs.

Plain python3 only: this runs before anything is installed.
"""
