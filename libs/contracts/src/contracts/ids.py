"""The names of things. A NewType each, so that a job id cannot be passed where an attempt id is meant."""

from typing import NewType
from uuid import UUID

JobId = NewType("JobId", UUID)
AttemptId = NewType("AttemptId", UUID)
UserId = NewType("UserId", UUID)
ModelId = NewType("ModelId", str)
"""An entry of the catalogue, such as ``silhouette-v1``."""
WorkerId = NewType("WorkerId", str)
"""One worker *process*; a restarted worker has a new id."""
ObjectName = NewType("ObjectName", str)
"""The key of an object in the bucket, without a leading slash."""
