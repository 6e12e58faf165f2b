"""One execution of one step: its context, its effects and how its outcome is made."""
