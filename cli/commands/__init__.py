"""One command, or one family of them, per module; `cli/main.py` says which is where."""
