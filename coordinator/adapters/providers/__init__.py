"""Agent CLIs: settings in, argv and env out; transcript in, events and an outcome out. They start no process."""
