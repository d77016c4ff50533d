"""Where workers run: argv and parsers, one imperative body."""
