"""The nouns: frozen values and closed lists. Standard library only; no I/O, no clock."""
