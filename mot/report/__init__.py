"""Scores as people read them: a table on the terminal, a JSON file, one self-contained page."""
