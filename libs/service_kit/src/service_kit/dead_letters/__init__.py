"""What could not be handled, and the command by which a person looks at it, sends it on or throws it away.

``python -m service_kit.dead_letters --help``
"""
