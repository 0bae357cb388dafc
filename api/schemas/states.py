"""The words of the API for where tasks, chunks and callbacks stand, and for what keys may do.

They are the pipeline's own, and the client has the same; tests compare them. They are repeated here
so that the command line starts without loading the pipeline.
"""

from typing import Literal

State = Literal["pending", "running", "completed", "failed"]
ChunkState = Literal["pending", "running", "staged", "failed"]
CallbackState = Literal["pending", "delivered", "failed"]
Role = Literal["client", "operator"]
