"""Measures Stepwell beside the raw limit of plain `sqlite3` in the same run."""
