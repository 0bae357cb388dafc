"""The Python client: ``Client`` submits requests, waits for tasks and downloads their bundles.

Names that are not in ``__all__`` are private.
"""

from .api_keys import Keys
from .client import Client
from .errors import (
    ApiError,
    DownloadError,
    QrmillError,
    TaskFailedError,
    UnreachableError,
    WaitTimeoutError,
)
from .pagination import Filters
from .submit import CsvSource, Form, Options, Submitted
from .target import BundleTarget
from .wire_types import (
    BulkItem,
    BundleResponse,
    CallbackResponse,
    CallbackState,
    ChunkResponse,
    Chunks,
    ChunkState,
    DryRun,
    ErrorCode,
    ErrorCorrection,
    FilePages,
    ImageFormat,
    ImportKeyRequest,
    KeyResponse,
    NewKeyRequest,
    NewKeyResponse,
    RequestWarning,
    Role,
    RotatedKeyResponse,
    State,
    SymbolCount,
    TaskStatus,
    TaskSummary,
    Violation,
    WebhookSecretResponse,
)

__all__ = [
    "ApiError",
    "BulkItem",
    "BundleResponse",
    "BundleTarget",
    "CallbackResponse",
    "CallbackState",
    "ChunkResponse",
    "ChunkState",
    "Chunks",
    "Client",
    "CsvSource",
    "DownloadError",
    "DryRun",
    "ErrorCode",
    "ErrorCorrection",
    "FilePages",
    "Filters",
    "Form",
    "ImageFormat",
    "ImportKeyRequest",
    "KeyResponse",
    "Keys",
    "NewKeyRequest",
    "NewKeyResponse",
    "Options",
    "QrmillError",
    "RequestWarning",
    "Role",
    "RotatedKeyResponse",
    "State",
    "Submitted",
    "SymbolCount",
    "TaskFailedError",
    "TaskStatus",
    "TaskSummary",
    "UnreachableError",
    "Violation",
    "WaitTimeoutError",
    "WebhookSecretResponse",
]
