"""States of tasks, chunks and webhooks, and roles of API keys.

The pipeline and the client define the same values, and tests compare the three. The values are
repeated here so that the command line starts without importing the pipeline.
"""

from typing import Literal

State = Literal["pending", "running", "completed", "failed"]
ChunkState = Literal["pending", "running", "staged", "failed"]
CallbackState = Literal["pending", "delivered", "failed"]
Role = Literal["client", "operator"]
