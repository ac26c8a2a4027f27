"""The ties to other libraries, one module for each.

A program imports the modules that it uses, and installs the extras that their docstrings name.
"""
