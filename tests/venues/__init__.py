"""Loopback venues: fakes of six venues on 127.0.0.1, for tests and for `make run`.

Each is an HTTP server that answers as the venue's documents say for what the core renders: it
checks signatures, time windows, ids, nonces, parameters and order states, and it fails on schedule.
They import nothing of ours, so that they can judge it.
"""
