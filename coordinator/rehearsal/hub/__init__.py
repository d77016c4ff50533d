"""The stand-in GitHub itself: state, REST, a little GraphQL, and git over HTTP, all on loopback.

It refuses what GitHub refuses. It must not know who calls it, and must not contain faults made for tests.
"""
