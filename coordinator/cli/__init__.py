"""The commands: typer, one file a command group; views.py turns data into rich renderables, pure."""
