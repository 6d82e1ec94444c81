"""Faults in the store and the broker, driven by a seed: for tests that ask what holds while both of them fail.

A call fails *before* its effect, or *after* it: applied, but the caller is told that it failed. The second kind is what a lost
connection does to a COMMIT or to a publisher's confirm, and what finds the mistakes. The model is Temporal's
`common/persistence/faultinjection` (its `ExecuteAndTimeout`); that each seed makes a mix of its own is FoundationDB's BUGGIFY.
"""
