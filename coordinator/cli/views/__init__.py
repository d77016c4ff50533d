"""Data into lines for people: pure, no terminal and no file is touched here."""
