"""The tests. A package, so that `tests.support` is this folder's and never another `tests` on the path."""
