"""The doors to the outside worlds, one each."""
