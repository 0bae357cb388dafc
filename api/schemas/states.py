"""The words of the API for where tasks, chunks and callbacks stand, and for what keys may do.

They are the pipeline's own; a test compares them. They stand here as well so that the client and
the command line start without all that the service is made of.
"""

from typing import Literal

State = Literal["pending", "running", "completed", "failed"]
ChunkState = Literal["pending", "running", "staged", "failed"]
CallbackState = Literal["pending", "delivered", "failed"]
Role = Literal["client", "operator"]
