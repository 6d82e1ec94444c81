"""One stream of structured lines on stdout: JSON for machines, readable in a terminal. Other libraries' go through it too."""

from service_kit.logging.configure import configure_logging

__all__ = ["configure_logging"]
