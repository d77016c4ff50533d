"""The embedded default: a stand-in GitHub, a scripted agent and a sample repository.

It imports the standard library alone and nothing of ours, so that it can judge the rest from outside.
"""
